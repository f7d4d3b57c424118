//! `exists` of containers, images, networks and volumes: nothing is printed, the exit code says it, as with Podman.

use anyhow::Result;
use engine::{Engine, Error};

/// Say by the exit code whether there is one: 0 if there is, 1 if not
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name or id
    name: String,
}

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Container,
    Image,
    Network,
    Volume,
}

/// 0 or 1.
///
/// # Errors
/// It cannot be told.
pub(crate) fn run(engine: &Engine, kind: Kind, args: &Args) -> Result<i32> {
    let name = args.name.as_str();
    let found = match kind {
        Kind::Container => engine.container(name).map(drop),
        Kind::Network => engine.network(name).map(drop),
        Kind::Volume => engine.volume(name).map(drop),
        Kind::Image => match engine.images().image(name) {
            Err(images::Error::NotFound { .. }) => return Ok(1),
            found => found.map(drop).map_err(Error::from),
        },
    };
    match found {
        Ok(()) => Ok(0),
        Err(Error::NoSuchContainer(_) | Error::NoSuchNetwork(_) | Error::NoSuchVolume(_)) => Ok(1),
        Err(error) => Err(error.into()),
    }
}
