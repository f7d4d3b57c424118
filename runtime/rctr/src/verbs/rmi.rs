//! `rctr rmi`.

use anyhow::Result;
use engine::Engine;
use images::{Image, Removed};

use crate::context::Context;
use crate::exit;
use crate::output::told;

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
    let mut code = 0;
    for name in &args.images {
        match remove(&engine, name, args.force) {
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

/// Removes an image or its name, and tells of it.
pub(crate) fn remove(engine: &Engine, name: &str, force: bool) -> Result<Removed, images::Error> {
    let users = |image: &Image| engine.users_of(image);
    // Once it is gone nobody knows.
    let id = engine.images().image(name).map(|image| image.id.to_string()).unwrap_or_default();
    let removed = engine.images().remove(name, force, &users)?;
    removed.untagged.iter().for_each(|name| told::image(engine, "untag", &id, name));
    if removed.deleted.iter().any(|digest| digest.as_str() == id) {
        told::image(engine, "delete", &id, &id);
    }
    Ok(removed)
}
