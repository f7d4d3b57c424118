//! `rctr manifest …`: lists of images for several platforms.

use anyhow::Result;
use clap::Subcommand;
use images::{Annotation, ListOptions, Reference};
use serde_json::Value;

use crate::context::Context;
use crate::output::progress;

/// Make, change and push lists of images for several platforms
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Manifest {
    Create(Create),
    Add(Add),
    Remove(RemoveImage),
    Annotate(Annotate),
    Push(Push),
    Inspect(Inspect),
    Rm(Remove),
}

/// Make a list of images that are in registries
#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// Add to a list that is there
    #[arg(short, long)]
    amend: bool,
    /// [HOST[:PORT]/]NAME[:TAG] of the list
    list: Reference,
    /// Images; of an index all of its images
    #[arg(required = true)]
    images: Vec<String>,
}

/// Add images that are in registries to a list
#[derive(Debug, clap::Args)]
pub(crate) struct Add {
    #[command(flatten)]
    says: Says,
    /// The list
    list: Reference,
    /// Images; of an index all of its images
    #[arg(required = true)]
    images: Vec<String>,
}

/// Take images out of a list
#[derive(Debug, clap::Args)]
pub(crate) struct RemoveImage {
    /// The list
    list: Reference,
    /// Images, each by the name it was added with, or by its digest
    #[arg(required = true)]
    images: Vec<String>,
}

/// Say what machines an image of a list is for
#[derive(Debug, clap::Args)]
pub(crate) struct Annotate {
    #[command(flatten)]
    says: Says,
    /// The list
    list: Reference,
    /// The image, by the name it was added with, or by its digest
    image: String,
}

/// What an image of a list is for, where that differs from what the image says.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Says {
    /// Architecture, such as arm64
    #[arg(long)]
    arch: Option<String>,
    /// Operating system, such as linux
    #[arg(long)]
    os: Option<String>,
    /// Variant of the architecture, such as v8
    #[arg(long)]
    variant: Option<String>,
    /// Version of the operating system
    #[arg(long)]
    os_version: Option<String>,
    /// Feature of the operating system that is needed
    #[arg(long, value_name = "FEATURE", value_delimiter = ',')]
    os_features: Vec<String>,
    /// Note in the index
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    annotation: Vec<(String, String)>,
}

impl Says {
    fn annotation(self) -> Annotation {
        let Says { arch, os, variant, os_version, os_features, annotation } = self;
        Annotation { os, architecture: arch, variant, os_version, os_features, annotations: annotation }
    }
}

/// Push a list with its images
#[derive(Debug, clap::Args)]
pub(crate) struct Push {
    /// Forget the list once it is pushed
    #[arg(short, long)]
    purge: bool,
    /// Print only the digest
    #[arg(short, long)]
    quiet: bool,
    /// The list
    list: Reference,
}

/// Show a list, or the manifest or index that a name means in its registry
#[derive(Debug, clap::Args)]
pub(crate) struct Inspect {
    /// [HOST[:PORT]/]NAME[:TAG|@DIGEST]
    name: String,
}

/// Forget lists
#[derive(Debug, clap::Args)]
pub(crate) struct Remove {
    /// Lists
    #[arg(required = true)]
    lists: Vec<Reference>,
}

pub(crate) fn run(context: &Context, verb: Manifest) -> Result<i32> {
    let engine = context.engine()?;
    let store = engine.images();
    match verb {
        Manifest::Create(Create { amend, list, images }) => {
            let options = options(context)?;
            let images = images.iter().map(|name| options.registries.reference(name)).collect::<Result<Vec<_>, _>>()?;
            images::create_list(store, &list, &images, amend, &options, &())?;
            println!("Created manifest list {list}");
        }
        Manifest::Add(Add { says, list, images }) => {
            let options = options(context)?;
            let references = images.iter().map(|name| options.registries.reference(name)).collect::<Result<Vec<_>, _>>()?;
            // It has to be there.
            let before = store.manifest_list(&list)?;
            let after = images::create_list(store, &list, &references, true, &options, &())?;
            let annotation = says.annotation();
            for digest in after.digests().filter(|digest| !before.digests().any(|known| known == *digest)) {
                images::annotate_list(store, &list, digest.as_str(), &annotation)?;
            }
            println!("{list}");
        }
        Manifest::Remove(RemoveImage { list, images }) => {
            images.iter().try_for_each(|image| images::remove_from_list(store, &list, image))?;
            println!("{list}");
        }
        Manifest::Annotate(Annotate { says, list, image }) => {
            images::annotate_list(store, &list, &image, &says.annotation())?;
        }
        Manifest::Push(Push { purge, quiet, list }) => {
            let progress = progress::shown(progress::COPY, quiet);
            let pushed = images::push_list(store, &list, options(context)?, progress.as_ref())?;
            if purge {
                store.remove_manifest_list(&list)?;
            }
            println!("{}", pushed.digest);
        }
        Manifest::Inspect(Inspect { name }) => println!("{}", shown(context, store, &name)?),
        Manifest::Rm(Remove { lists }) => lists.iter().try_for_each(|list| store.remove_manifest_list(list))?,
    }
    Ok(0)
}

/// A list that was made here, else what the registry has.
fn shown(context: &Context, store: &images::Store, name: &str) -> Result<String> {
    let options = options(context)?;
    let reference = options.registries.reference(name)?;
    match store.manifest_list(&reference) {
        Ok(list) => return Ok(list.index()),
        Err(images::Error::NoList { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let raw = images::manifest_of(&reference, &options)?;
    let document: Value = serde_json::from_slice(&raw.bytes)?;
    Ok(serde_json::to_string_pretty(&document)?)
}

pub(super) fn options(context: &Context) -> Result<ListOptions> {
    let images::PullOptions { registries, credentials, .. } = context.pull_options(None)?;
    Ok(ListOptions { registries, credentials })
}

fn pair(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or("it is not KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}
