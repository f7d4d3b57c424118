//! `rctr image unmount`.

use anyhow::{Result, anyhow};
use engine::{Engine, View};
use images::Digest;

use crate::context::Context;
use crate::exit;

/// Unmount images that were mounted to look at their files
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// All that are mounted
    #[arg(short, long, conflicts_with = "images")]
    all: bool,
    /// Also where a process has something open
    #[arg(short, long)]
    force: bool,
    /// Names, ids or folders
    #[arg(required_unless_present = "all", value_name = "IMAGE|DIR")]
    images: Vec<String>,
}

/// Unmounts each image wherever it is mounted, and prints its id.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let views = engine.views()?;
    let mut code = 0;
    // What was mounted last is on top.
    if args.all {
        unmount(&engine, views.iter().rev(), args.force, &mut code);
    }
    for name in &args.images {
        match named(&engine, &views, name) {
            Ok(found) => unmount(&engine, found.into_iter(), args.force, &mut code),
            Err(error) => code = exit::report(&error),
        }
    }
    Ok(code)
}

fn named<'a>(engine: &Engine, views: &'a [View], name: &str) -> Result<Vec<&'a View>> {
    let place = std::fs::canonicalize(name).ok();
    let at: Vec<_> = views.iter().filter(|view| place.as_ref() == Some(&view.path)).collect();
    if name.contains('/') && !at.is_empty() {
        return Ok(at);
    }
    let image = engine.images().image(name)?;
    let found: Vec<_> = views.iter().rev().filter(|view| view.manifest == image.manifest).collect();
    if found.is_empty() { Err(anyhow!("image {name} is not mounted")) } else { Ok(found) }
}

/// Of the image; of its manifest when it was removed by force.
fn id(engine: &Engine, view: &View) -> Digest {
    let images = engine.images().images().unwrap_or_default();
    images.into_iter().find(|image| image.manifest == view.manifest).map_or_else(|| view.manifest.clone(), |image| image.id)
}

fn unmount<'a>(engine: &Engine, views: impl Iterator<Item = &'a View>, force: bool, code: &mut i32) {
    for view in views {
        match engine.unmount_view(view, force) {
            Ok(()) => println!("{}", id(engine, view)),
            Err(error) => *code = exit::report(&error.into()),
        }
    }
}
