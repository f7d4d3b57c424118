//! `rctr rmi`.

use anyhow::Result;
use engine::{Engine, Mount, MountSource};
use images::Image;

use crate::context::Context;
use crate::exit;

/// Remove images
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Take all names away from an image given by its id, and do not mind images that are not there
    #[arg(short, long)]
    force: bool,
    /// Names or ids
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

/// Removes each image, and prints the names and ids that went.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let users = |image: &Image| users(&engine, image);
    let mut code = 0;
    for name in &args.images {
        match engine.images().remove(name, args.force, &users) {
            Ok(removed) => {
                removed.untagged.iter().for_each(|name| println!("Untagged: {name}"));
                removed.deleted.iter().for_each(|digest| println!("Deleted: {digest}"));
            }
            Err(error) if matches!(error, images::Error::NotFound { .. }) && args.force => eprintln!("rctr: {error}"),
            Err(error) => code = exit::report(&error.into()),
        }
    }
    Ok(code)
}

/// What needs an image: ids of containers, and where it is mounted. Asked anew for each image, so that one made meanwhile is seen.
pub(crate) fn users(engine: &Engine, image: &Image) -> Vec<String> {
    let Ok(containers) = engine.containers() else { return vec!["containers that cannot be listed".to_owned()] };
    let Ok(views) = engine.views() else { return vec!["mounts that cannot be listed".to_owned()] };
    let mounted = |mount: &Mount| matches!(&mount.source, MountSource::Image { manifest: Some(own), .. } if *own == image.manifest);
    let uses = containers
        .iter()
        .filter(|container| container.record.image.manifest == image.manifest || container.record.mounts.iter().any(mounted));
    let uses = uses.map(|container| container.record.id[..12].to_owned());
    let views = views.iter().filter(|view| view.manifest == image.manifest);
    uses.chain(views.map(|view| format!("a mount at {}", view.path.display()))).collect()
}
