//! `rctr volume …`.

mod create;
pub(crate) mod filter;
mod inspect;
mod ls;
mod mount;
pub(crate) mod prune;
mod rm;
mod transfer;

use anyhow::Result;
use clap::Subcommand;
use engine::{Engine, Volume};
use serde_json::{Value, json};

use super::exists;
use crate::context::Context;
use crate::output::amount::rfc3339;

/// Work with volumes
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Verb {
    Create(create::Args),
    #[command(visible_alias = "list")]
    Ls(ls::Args),
    Inspect(inspect::Args),
    #[command(visible_alias = "remove")]
    Rm(rm::Args),
    Prune(prune::Args),
    Exists(exists::Args),
    Export(transfer::Export),
    Import(transfer::Import),
    Mount(mount::Mount),
    #[command(visible_alias = "umount")]
    Unmount(mount::Unmount),
}

/// Does what was asked for.
pub(crate) fn run(context: &Context, verb: Verb) -> Result<i32> {
    match verb {
        Verb::Create(args) => create::run(context, args),
        Verb::Ls(args) => ls::run(context, args),
        Verb::Inspect(args) => inspect::run(context, args),
        Verb::Rm(args) => rm::run(context, &args),
        Verb::Exists(args) => exists::run(&context.engine()?, exists::Kind::Volume, &args),
        Verb::Export(args) => transfer::export(context, &args),
        Verb::Import(args) => transfer::import(context, &args),
        Verb::Mount(args) => mount::mount(context, &args),
        Verb::Unmount(args) => mount::unmount(context, &args),
        Verb::Prune(args) => prune::run(context, &args),
    }
}

/// A volume in the shape of Docker's API.
pub(crate) fn shape(volume: &Volume) -> Value {
    let mut labels = volume.record.labels.clone();
    if volume.record.anonymous {
        labels.insert("com.docker.volume.anonymous".to_owned(), String::new());
    }
    let some = |map: &std::collections::BTreeMap<String, String>| if map.is_empty() { Value::Null } else { json!(map) };
    json!({
        "CreatedAt": rfc3339(volume.record.created),
        "Driver": "local",
        "Labels": some(&labels),
        "Mountpoint": volume.mountpoint,
        "Name": volume.name,
        "Options": some(&volume.record.options),
        "Scope": "local",
    })
}

/// Removes volumes, and answers the names of those that went, and their bytes. One that somebody takes meanwhile stays.
pub(crate) fn remove_unused<'a>(engine: &Engine, volumes: impl Iterator<Item = &'a Volume>) -> Result<(Vec<String>, u64)> {
    let (mut gone, mut freed) = (Vec::new(), 0);
    for volume in volumes.filter(|volume| volume.users.is_empty()) {
        match engine.volume_remove(&volume.name) {
            Ok(bytes) => {
                gone.push(volume.name.clone());
                freed += bytes;
            }
            Err(engine::Error::VolumeInUse { .. } | engine::Error::NoSuchVolume(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok((gone, freed))
}
