//! Words of the command line as values.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use engine::NetworkMode;
use engine::build::NamedContext;

use crate::verbs::pull::When;

/// `--pull`, with the words that are Docker's and Podman's.
pub(crate) fn pull(text: &str) -> Result<When, String> {
    match text {
        "true" | "always" => Ok(When::Always),
        "false" | "missing" | "ifmissing" => Ok(When::Missing),
        "newer" | "ifnewer" => Ok(When::Newer),
        "never" => Ok(When::Never),
        _ => Err("there are always, missing, newer and never".to_owned()),
    }
}

/// `--secret`.
#[derive(Debug, Clone)]
pub(crate) struct Secret {
    pub(crate) id: String,
    from: From,
}

#[derive(Debug, Clone)]
enum From {
    File(PathBuf),
    Variable(String),
}

impl Secret {
    /// Its bytes.
    pub(crate) fn read(&self) -> Result<Vec<u8>> {
        /// As much as BuildKit takes.
        const LIMIT: usize = 500 << 10;
        let bytes = match &self.from {
            From::Variable(name) => std::env::var_os(name)
                .with_context(|| format!("--secret {}: there is no variable {name}", self.id))?
                .into_encoded_bytes(),
            From::File(path) => std::fs::read(path).with_context(|| format!("--secret {}: read {}", self.id, path.display()))?,
        };
        if bytes.len() > LIMIT {
            bail!("--secret {}: it has more than 500 KiB", self.id);
        }
        Ok(bytes)
    }
}

pub(crate) fn secret(text: &str) -> Result<Secret, String> {
    let wrong = |why: &str| format!("{text:?}: {why}; the form is id=ID[,src=FILE|,env=NAME]");
    let (mut id, mut file, mut variable, mut kind) = (None, None, None, None);
    for field in text.split(',') {
        match field.split_once('=') {
            Some(("id", value)) => id = Some(value.to_owned()),
            Some(("src" | "source", value)) => file = Some(value.to_owned()),
            Some(("env", value)) => variable = Some(value.to_owned()),
            Some(("type", value @ ("file" | "env"))) => kind = Some(value.to_owned()),
            _ => return Err(wrong(&format!("{field:?} is no part of a secret"))),
        }
    }
    let id = id.filter(|id| !id.is_empty()).ok_or_else(|| wrong("it has no id"))?;
    let from = match (file, variable, kind.as_deref()) {
        (Some(_), Some(_), _) => return Err(wrong("it comes from a file or from a variable")),
        (Some(name), None, Some("env")) | (None, Some(name), _) => From::Variable(name),
        (Some(path), None, _) => From::File(path.into()),
        (None, None, Some("file")) => From::File(id.clone().into()),
        (None, None, _) if std::env::var_os(&id).is_some() => From::Variable(id.clone()),
        (None, None, _) => From::File(id.clone().into()),
    };
    Ok(Secret { id, from })
}

/// `--ssh default` or `--ssh ID=SOCKET`.
pub(crate) fn agent(text: &str) -> Result<(String, PathBuf)> {
    let (id, path) = text.split_once('=').map_or((text, None), |(id, path)| (id, Some(PathBuf::from(path))));
    let path = match path {
        Some(path) => path,
        None => PathBuf::from(
            std::env::var_os("SSH_AUTH_SOCK").with_context(|| format!("--ssh {id}: there is no variable SSH_AUTH_SOCK"))?,
        ),
    };
    let path = std::path::absolute(&path)?;
    let kind = std::fs::metadata(&path).with_context(|| format!("--ssh {id}: look at {}", path.display()))?.file_type();
    if !std::os::unix::fs::FileTypeExt::is_socket(&kind) {
        bail!("--ssh {id}: {} is no socket of an agent; keys are not read", path.display());
    }
    Ok((id.to_owned(), path))
}

pub(crate) fn network(text: &str) -> Result<NetworkMode, String> {
    match text {
        "default" | "bridge" => Ok(NetworkMode::Bridge),
        "host" => Ok(NetworkMode::Host),
        "none" => Ok(NetworkMode::None),
        _ => Err(format!("no network {text:?}: there are default, host and none")),
    }
}

/// `NAME=FOLDER`, `NAME=docker-image://IMAGE`.
pub(crate) fn named(text: &str) -> Result<(String, NamedContext), String> {
    let wrong = |why: &str| format!("{text:?}: {why}; the form is NAME=FOLDER or NAME=docker-image://IMAGE");
    let (name, place) = text
        .split_once('=')
        .filter(|(name, place)| !name.is_empty() && !place.is_empty())
        .ok_or_else(|| wrong("it has no place"))?;
    let place = match place.strip_prefix("docker-image://") {
        Some(image) => NamedContext::Image(image.to_owned()),
        None if place.contains("://") => return Err(wrong("other addresses are not fetched")),
        None => {
            let path = std::path::absolute(place).map_err(|error| wrong(&error.to_string()))?;
            if !path.is_dir() {
                return Err(wrong("there is no such folder"));
            }
            NamedContext::Folder(path)
        }
    };
    Ok((name.to_owned(), place))
}

/// What a build makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Output {
    /// An image of the store.
    Image,
    /// That, and an archive of it: to a file, or to standard output.
    Archive(Option<PathBuf>),
    /// All files as a tar archive.
    Tar(Option<PathBuf>),
    /// All files in a folder.
    Folder(PathBuf),
}

impl Output {
    /// The result is an image of the store and no more.
    pub(crate) fn is_image(&self) -> bool {
        matches!(self, Output::Image)
    }

    pub(crate) fn needs_image(&self) -> bool {
        matches!(self, Output::Image | Output::Archive(_))
    }
}

pub(crate) fn output(text: &str) -> Result<Output, String> {
    let wrong = |why: &str| format!("{text:?}: {why}; the form is type=image|oci|docker|tar|local[,dest=PATH], or a folder, or -");
    if text == "-" {
        return Ok(Output::Tar(None));
    }
    if !text.contains('=') {
        return Ok(Output::Folder(text.into()));
    }
    let (mut kind, mut dest) = (None, None);
    for field in text.split(',') {
        match field.split_once('=') {
            Some(("type", value)) => kind = Some(value),
            Some(("dest", value)) => dest = Some(PathBuf::from(value)),
            Some((key, _)) => return Err(wrong(&format!("unknown option {key:?}"))),
            None => return Err(wrong(&format!("{field:?} has no value"))),
        }
    }
    let dest = dest.filter(|path| path != Path::new("-"));
    match kind {
        Some("image") if dest.is_none() => Ok(Output::Image),
        Some("image") => Err(wrong("an image has no dest")),
        Some("oci" | "docker") => Ok(Output::Archive(dest)),
        Some("tar") => Ok(Output::Tar(dest)),
        Some("local") => dest.map(Output::Folder).ok_or_else(|| wrong("local needs a dest")),
        Some(_) => Err(wrong("unknown type")),
        None => Err(wrong("it has no type")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pull_has_a_time() {
        assert_eq!((pull("true"), pull("newer"), pull("missing")), (Ok(When::Always), Ok(When::Newer), Ok(When::Missing)));
        assert!(pull("").is_err() && pull("sometimes").is_err());
    }

    #[test]
    fn outputs() {
        for (text, expected) in [
            ("type=image", Output::Image),
            ("type=oci,dest=x.tar", Output::Archive(Some("x.tar".into()))),
            ("type=docker", Output::Archive(None)),
            ("type=tar,dest=-", Output::Tar(None)),
            ("-", Output::Tar(None)),
            ("out", Output::Folder("out".into())),
            ("type=local,dest=out", Output::Folder("out".into())),
        ] {
            assert_eq!(output(text), Ok(expected), "{text}");
        }
        for text in ["type=local", "type=registry", "dest=x", "type=image,dest=x", "type=oci,push=true"] {
            assert!(output(text).is_err(), "{text}");
        }
    }

    #[test]
    fn secrets() {
        assert!(secret("id=a,src=/x").is_ok_and(|secret| secret.id == "a" && matches!(secret.from, From::File(_))));
        assert!(secret("id=a,env=B").is_ok_and(|secret| matches!(secret.from, From::Variable(name) if name == "B")));
        for text in ["", "src=x", "id=", "id=a,src=b,env=c", "id=a,what=b"] {
            assert!(secret(text).is_err(), "{text}");
        }
        assert!(named("a=docker-image://b").is_ok_and(|(name, place)| name == "a" && place == NamedContext::Image("b".into())));
        assert!(named("a").is_err() && named("a=https://x").is_err());
    }
}
