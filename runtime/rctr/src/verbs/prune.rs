//! `rctr image prune`.

use std::collections::BTreeSet;
use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Result, bail};
use engine::Engine;
use images::Image;

use super::images::created;
use crate::context::Context;
use crate::exit;
use crate::output::amount;
use crate::parse::{self, PruneFilter};

/// Remove images that have no name
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also those with names that no container uses
    #[arg(short, long)]
    all: bool,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    which: Which,
    /// Only print what would go
    #[arg(long)]
    dry_run: bool,
}

/// Those of the images that may go.
#[derive(Debug, Default, Clone, clap::Args)]
pub(crate) struct Which {
    /// Only those that fit: until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE]
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse::prune_filter)]
    filter: Vec<PruneFilter>,
    /// Of those that could go, keep the ones that were used last: so many, or as many as fit into a size such as 10GB
    #[arg(long, value_name = "N|SIZE", value_parser = keep)]
    keep: Option<Keep>,
}

impl Which {
    /// Those that fit filters that were given to another verb.
    pub(crate) fn fitting(filters: &[PruneFilter]) -> Self {
        Which { filter: filters.to_vec(), keep: None }
    }
}

/// How much stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    Images(usize),
    Bytes(u64),
}

fn keep(text: &str) -> Result<Keep, String> {
    match text.parse() {
        Ok(count) => Ok(Keep::Images(count)),
        Err(_) => parse::bytes(text).map(|bytes| Keep::Bytes(bytes.unsigned_abs())),
    }
}

/// What a verb has removed.
#[derive(Debug, Default)]
pub(crate) struct Pruned {
    /// What is printed about it.
    pub(crate) lines: Vec<String>,
    /// Bytes.
    pub(crate) freed: u64,
    /// The exit code.
    pub(crate) code: i32,
}

impl Pruned {
    /// Prints the lines, if there are any, as Docker does.
    pub(crate) fn print(&self, what: &str) {
        if !self.lines.is_empty() {
            println!("Deleted {what}:\n{}\n", self.lines.join("\n"));
        }
    }
}

/// Removes the images, and prints names, ids and what that freed.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    if args.dry_run {
        return would(&engine, args.all, &args.which);
    }
    let which = if args.all { "images that no container uses" } else { "images without a name" };
    if !args.force && !confirmed(which)? {
        return Ok(0);
    }
    let pruned = prune(&engine, args.all, &args.which)?;
    pruned.print("Images");
    println!("Total reclaimed space: {}", amount::size(pruned.freed));
    Ok(pruned.code)
}

/// Removes images that no container uses: with `all` those with names, too.
pub(crate) fn prune(engine: &Engine, all: bool, which: &Which) -> Result<Pruned> {
    let mut pruned = Pruned::default();
    for image in leaving(engine, all, which)? {
        match remove(engine, &image) {
            Ok((gone, bytes)) => {
                pruned.lines.extend(gone);
                pruned.freed += bytes;
            }
            // A container uses it, or somebody else was faster.
            Err(images::Error::InUse { .. } | images::Error::NotFound { .. }) => {}
            Err(error) => pruned.code = exit::report(&error.into()),
        }
    }
    engine.images().sweep()?;
    engine.forget_copies()?;
    engine.unmount_layers()?;
    Ok(pruned)
}

/// The images that are to go: of those that nobody needs the ones used longest ago come last.
fn leaving(engine: &Engine, all: bool, which: &Which) -> Result<Vec<Image>> {
    let fits = |image: &Image| which.filter.iter().all(|filter| filter.fits(created(image), &image.config.config.labels));
    let images = engine.images().images()?.into_iter().filter(|image| (all || image.names.is_empty()) && fits(image));
    let mut images: Vec<_> = images.filter(|image| engine.users_of(image).is_empty()).collect();
    images.sort_by_cached_key(|image| std::cmp::Reverse(engine.images().last_used(image)));
    let staying = match which.keep {
        None => 0,
        Some(Keep::Images(count)) => count.min(images.len()),
        Some(Keep::Bytes(most)) => fitting(engine, &images, most),
    };
    Ok(images.split_off(staying))
}

/// How many of the images fit, with all layers that they do not share.
fn fitting(engine: &Engine, images: &[Image], most: u64) -> usize {
    let (mut seen, mut sum) = (BTreeSet::new(), 0);
    for (count, image) in images.iter().enumerate() {
        let new = image.layers.iter().map(|layer| &layer.digest).filter(|digest| seen.insert(*digest));
        sum += new.map(|digest| engine.images().unpacked_size(digest).unwrap_or_default()).sum::<u64>();
        if sum > most {
            return count;
        }
    }
    images.len()
}

/// Prints what would go, in the words of what goes.
fn would(engine: &Engine, all: bool, which: &Which) -> Result<i32> {
    let leaving = leaving(engine, all, which)?;
    let goes = |image: &Image| leaving.iter().any(|other| other.manifest == image.manifest);
    let images = engine.images().images()?;
    let needed: BTreeSet<_> =
        images.iter().filter(|image| !goes(image)).flat_map(|image| &image.layers).map(|layer| &layer.digest).collect();
    let gone: BTreeSet<_> = leaving.iter().flat_map(|image| &image.layers).map(|layer| &layer.digest).collect();
    let mut freed = 0;
    for image in &leaving {
        image.names.iter().for_each(|name| println!("would untag: {}", name.familiar()));
        println!("would delete: {}", image.id);
    }
    for digest in gone.difference(&needed) {
        println!("would delete: {digest}");
        freed += engine.images().unpacked_size(digest)?;
    }
    println!("Total reclaimable space: {}", amount::size(freed));
    Ok(0)
}

/// Removes an image that no container uses. Answers lines to print, and the bytes of the layers that went.
fn remove(engine: &Engine, image: &Image) -> Result<(Vec<String>, u64), images::Error> {
    let users = engine.users_of(image);
    if !users.is_empty() {
        return Err(images::Error::InUse { name: image.id.to_string(), by: users, forceable: false });
    }
    let images = engine.images();
    let sizes: Vec<_> = image.layers.iter().map(|layer| (layer, images.unpacked_size(&layer.digest).unwrap_or_default())).collect();
    let removed = images.remove(&image.id.to_string(), true, &|image| engine.users_of(image))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_or_so_much_stays() {
        assert_eq!(keep("5"), Ok(Keep::Images(5)));
        assert_eq!(keep("2g"), Ok(Keep::Bytes(2 << 30)));
        assert!(keep("").is_err() && keep("-1").is_err() && keep("5x").is_err());
    }
}
