//! `--cache-from` and `--cache-to`.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use engine::Engine;
use engine::build::Built;
use images::{CachePlace, ListOptions, Platform, Reference, RemoteCache};

use crate::context::Context;
use crate::exit;
use crate::output::progress;

#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Also use what was remembered elsewhere: an image or cache in a registry by its name, or type=registry,ref=NAME, or
    /// type=local,src=FOLDER[,tag=TAG]
    #[arg(long, value_name = "CACHE", value_parser = from)]
    cache_from: Vec<CachePlace>,
    /// Remember the build elsewhere, too: type=registry,ref=NAME[,mode=min|max], type=local,dest=FOLDER[,tag=TAG][,mode=min|max], or
    /// type=inline for the image's config; max has the steps of all stages
    #[arg(long, value_name = "CACHE", value_parser = to)]
    cache_to: Vec<To>,
}

/// Where a build is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
enum To {
    Inline,
    Place {
        place: CachePlace,
        /// The steps of all stages.
        all: bool,
        /// That it cannot be is no error.
        optional: bool,
    },
}

impl Args {
    /// What is remembered elsewhere. One that cannot be read is told of and left out: the build does without it.
    pub(super) fn imported(&self, context: &Context, platform: Option<&Platform>) -> Result<Vec<Arc<RemoteCache>>> {
        let platform = platform.cloned().unwrap_or_else(Platform::host);
        let mut all = Vec::new();
        for place in &self.cache_from {
            let images::PullOptions { registries, credentials, policy, .. } = context.pull_options(None)?;
            let admitted = match place {
                CachePlace::Registry(from) => policy.admits_cache(from),
                CachePlace::Folder(..) => Ok(()),
            };
            let import = |()| images::import_cache(place, &platform, ListOptions { registries, credentials });
            match admitted.and_then(import) {
                Ok(cache) => all.push(Arc::new(cache)),
                Err(error) => eprintln!("rctr: --cache-from {place}: {}", exit::links(&error)),
            }
        }
        Ok(all)
    }

    /// Something elsewhere is looked at, or written to.
    pub(super) fn is_any(&self) -> bool {
        !self.cache_from.is_empty() || !self.cache_to.is_empty()
    }

    /// The image itself remembers its steps.
    pub(super) fn is_inline(&self) -> bool {
        self.cache_to.contains(&To::Inline)
    }

    /// Writes down what was built wherever that was asked for.
    pub(super) fn export(&self, context: &Context, engine: &Engine, built: &Built, quiet: bool) -> Result<()> {
        for to in &self.cache_to {
            let To::Place { place, all, optional } = to else { continue };
            let (options, progress) = (context.push_options(None)?, progress::shown(progress::PUSH, quiet));
            let done = images::export_cache(engine.images(), &built.cache(*all), place, &options, progress.as_ref());
            match done.with_context(|| format!("--cache-to {place}")) {
                Err(error) if *optional => eprintln!("rctr: {}", exit::chain(&error)),
                done => drop(done?),
            }
        }
        Ok(())
    }
}

type Fields<'a> = Vec<(&'a str, &'a str)>;

/// `KEY=VALUE` fields, the kind among them.
fn fields(text: &str) -> Result<(&str, Fields<'_>), String> {
    let mut all = Vec::new();
    for field in text.split(',') {
        all.push(field.split_once('=').ok_or_else(|| format!("{text:?}: {field:?} is not KEY=VALUE"))?);
    }
    let kind = all.iter().find(|(key, _)| *key == "type").map(|(_, kind)| *kind);
    let kind = kind.ok_or_else(|| format!("{text:?} has no type: there are registry, local and inline"))?;
    all.retain(|(key, _)| *key != "type");
    Ok((kind, all))
}

fn reference(text: &str) -> Result<Reference, String> {
    text.parse().map_err(|error: images::InvalidReference| error.to_string())
}

fn folder(path: &str) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|error| format!("{path:?}: {error}"))
}

fn from(text: &str) -> Result<CachePlace, String> {
    // A name, as Docker takes it.
    if !text.contains('=') {
        return Ok(CachePlace::Registry(reference(text)?));
    }
    let (kind, fields) = fields(text)?;
    let value = |name: &str| fields.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let known: &[&str] = match kind {
        "registry" => &["ref"],
        "local" => &["src", "tag"],
        other => return Err(format!("no cache of the type {other:?} can be read: there are registry and local")),
    };
    if let Some((key, _)) = fields.iter().find(|(key, _)| !known.contains(key)) {
        return Err(format!("{key:?} is nothing that a cache of the type {kind} has: there are {}", known.join(" and ")));
    }
    match kind {
        "registry" => Ok(CachePlace::Registry(reference(value("ref").ok_or("ref=NAME says where it is")?)?)),
        _ => Ok(CachePlace::Folder(folder(value("src").ok_or("src=FOLDER says where it is")?)?, tag(value("tag")))),
    }
}

fn tag(given: Option<&str>) -> String {
    given.unwrap_or("latest").to_owned()
}

fn to(text: &str) -> Result<To, String> {
    // A name, as BuildKit takes it.
    if !text.contains('=') && text != "inline" {
        return Ok(To::Place { place: CachePlace::Registry(reference(text)?), all: false, optional: false });
    }
    let (kind, fields) = if text == "inline" { ("inline", Vec::new()) } else { fields(text)? };
    let (mut place, mut all, mut optional) = (None, false, false);
    let (mut path, mut own) = (None, None);
    for (key, value) in fields {
        match (kind, key, value) {
            ("registry", "ref", name) => place = Some(CachePlace::Registry(reference(name)?)),
            ("local", "dest", name) => path = Some(folder(name)?),
            ("local", "tag", name) => own = Some(name),
            ("registry" | "local", "mode", "min" | "max") => all = value == "max",
            ("registry" | "local", "ignore-error", "true" | "false") => optional = value == "true",
            // What is made anyway.
            ("registry" | "local", "image-manifest" | "oci-mediatypes", "true") | ("inline", "mode", "min") => {}
            _ => return Err(format!("{key}={value} is nothing that a cache of the type {kind} can be written with")),
        }
    }
    match kind {
        "inline" => Ok(To::Inline),
        "registry" => Ok(To::Place { place: place.ok_or("ref=NAME says where it goes")?, all, optional }),
        "local" => {
            let place = CachePlace::Folder(path.ok_or("dest=FOLDER says where it goes")?, tag(own));
            Ok(To::Place { place, all, optional })
        }
        other => Err(format!("no cache of the type {other:?} can be written: there are registry, local and inline")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_caches_are() {
        let name = |text: &str| CachePlace::Registry(text.parse().unwrap());
        assert_eq!(from("a/b:c"), Ok(name("a/b:c")));
        assert_eq!(from("type=registry,ref=a/b"), Ok(name("a/b")));
        assert_eq!(from("type=local,src=/x,tag=y"), Ok(CachePlace::Folder("/x".into(), "y".to_owned())));
        for wrong in ["type=gha", "ref=a", "type=local", "type=registry", "type=registry,ref=A", "type=local,src=/x,digest=1", ""] {
            assert!(from(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn where_caches_go() {
        let place = |place, all, optional| Ok(To::Place { place, all, optional });
        let folder = CachePlace::Folder("/x".into(), "latest".to_owned());
        assert_eq!(to("type=local,dest=/x,mode=max,ignore-error=true"), place(folder, true, true));
        assert_eq!(to("type=registry,ref=a/b:c"), place(CachePlace::Registry("a/b:c".parse().unwrap()), false, false));
        assert_eq!((to("type=inline"), to("inline")), (Ok(To::Inline), Ok(To::Inline)));
        for wrong in ["type=s3,bucket=x", "type=local", "type=registry,ref=a,compression=zstd", "type=inline,ref=a", "x=y"] {
            assert!(to(wrong).is_err(), "{wrong}");
        }
    }
}
