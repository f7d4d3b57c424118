//! `rctr images`.

pub(crate) mod filter;
mod row;
mod tree;

use anyhow::Result;
use engine::Nanos;
use images::Image;
use serde_json::Value;

use crate::context::Context;
use crate::output::table::Table;
use crate::output::{amount, template};

/// List images
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// All images, as without it: there are none that only builds see
    #[arg(short, long)]
    all: bool,
    /// Print only ids
    #[arg(short, long)]
    quiet: bool,
    /// Print whole ids
    #[arg(long)]
    no_trunc: bool,
    /// Show digests, by which registries know images
    #[arg(long)]
    digests: bool,
    /// Only those that fit: dangling=BOOL, reference=PATTERN, label=KEY[=VALUE], before=IMAGE, since=IMAGE, until=TIME
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = filter::parse)]
    filter: Vec<filter::Filter>,
    /// Show the platforms of each image, also those that are not here
    #[arg(long, conflicts_with_all = ["quiet", "format", "digests", "no_trunc"])]
    tree: bool,
    /// json, a Go template, or "table TEMPLATE"
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Only images of this repository: NAME[:TAG]
    repository: Option<String>,
}

/// Prints one row for each name of each image, newest first.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let store = engine.images();
    let mut images = store.images()?;
    images.sort_by_key(|image| std::cmp::Reverse(created(image)));
    let wanted = filter::Wanted::new(&args.filter, args.repository.as_deref(), store)?;
    if args.tree {
        return tree::print(&engine, &images, &wanted).map(|()| 0);
    }
    let rows: Vec<Value> = images.iter().flat_map(|image| row::rows(store, image, args.no_trunc, &wanted)).collect();
    if args.quiet {
        let mut last = None;
        for row in &rows {
            if last != Some(&row["ID"]) {
                println!("{}", row["ID"].as_str().unwrap_or_default());
            }
            last = Some(&row["ID"]);
        }
        return Ok(0);
    }
    if let Some(format) = &args.format {
        print!("{}", template::rows(format, &rows)?);
        return Ok(0);
    }
    let digest = args.digests.then_some(("DIGEST", "Digest"));
    let columns = [("REPOSITORY", "Repository"), ("TAG", "Tag")].into_iter().chain(digest);
    let columns = columns.chain([("IMAGE ID", "ID"), ("CREATED", "CreatedSince"), ("SIZE", "Size")]);
    let (head, keys): (Vec<_>, Vec<_>) = columns.unzip();
    let mut table = Table::new(&head);
    for row in &rows {
        table.row(keys.iter().map(|key| row[key].as_str().unwrap_or_default().to_owned()).collect());
    }
    print!("{}", table.render());
    Ok(0)
}

pub(crate) fn created(image: &Image) -> Nanos {
    image.config.created.as_deref().and_then(amount::parse_rfc3339).unwrap_or_default()
}
