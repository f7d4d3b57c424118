//! `rctr image prune`.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Result, bail};
use engine::Engine;
use images::Image;

use crate::context::Context;
use crate::output::amount;
use crate::{exit, verbs::rmi};

/// Remove images that have no name
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also those with names that no container uses
    #[arg(short, long)]
    all: bool,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
}

/// Removes the images, and prints names, ids and what that freed.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let which = if args.all { "images that no container uses" } else { "images without a name" };
    if !args.force && !confirmed(which)? {
        return Ok(0);
    }
    let (mut code, mut freed, mut lines) = (0, 0, Vec::new());
    for image in engine.images().images()?.iter().filter(|image| args.all || image.names.is_empty()) {
        match remove(&engine, image) {
            Ok((gone, bytes)) => {
                lines.extend(gone);
                freed += bytes;
            }
            // A container uses it, or somebody else was faster.
            Err(images::Error::InUse { .. } | images::Error::NotFound { .. }) => {}
            Err(error) => code = exit::report(&error.into()),
        }
    }
    engine.images().sweep()?;
    engine.unmount_layers()?;
    if !lines.is_empty() {
        println!("Deleted Images:\n{}\n", lines.join("\n"));
    }
    println!("Total reclaimed space: {}", amount::size(freed));
    Ok(code)
}

/// Removes an image that no container uses. Answers lines to print, and the bytes of the layers that went.
fn remove(engine: &Engine, image: &Image) -> Result<(Vec<String>, u64), images::Error> {
    let users = rmi::users(engine, image);
    if !users.is_empty() {
        return Err(images::Error::InUse { name: image.id.to_string(), by: users, forceable: false });
    }
    let images = engine.images();
    let sizes: Vec<_> = image.layers.iter().map(|layer| (layer, images.unpacked_size(&layer.digest).unwrap_or_default())).collect();
    let removed = images.remove(&image.id.to_string(), true, &|image| rmi::users(engine, image))?;
    let freed = sizes.iter().filter(|(layer, _)| removed.deleted.contains(&layer.digest)).map(|(_, size)| size).sum();
    let untagged = removed.untagged.iter().map(|name| format!("untagged: {name}"));
    let deleted = removed.deleted.iter().map(|digest| format!("deleted: {digest}"));
    Ok((untagged.chain(deleted).collect(), freed))
}

/// Asks whether all of `which` are to be removed.
pub(crate) fn confirmed(which: &str) -> Result<bool> {
    if !io::stdin().is_terminal() {
        bail!("nobody is there to ask: give --force to remove all {which}");
    }
    eprint!("This removes all {which}. Go on? [y/N] ");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
