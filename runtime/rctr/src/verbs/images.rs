//! `rctr images`.

use anyhow::Result;
use images::{Image, Reference};
use serde_json::{Value, json};

use crate::context::Context;
use crate::output::table::Table;
use crate::output::{amount, template};

/// List images
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print only ids
    #[arg(short, long)]
    quiet: bool,
    /// Print whole ids
    #[arg(long)]
    no_trunc: bool,
    /// json, or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Only images of this repository
    repository: Option<String>,
}

/// Prints one row for each name of each image, newest first.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let mut images = engine.images().images()?;
    images.sort_by_key(|image| std::cmp::Reverse(created(image)));
    let wanted = args.repository.as_deref().map(str::parse::<Reference>).transpose()?;
    let rows: Vec<Value> = images.iter().flat_map(|image| rows(image, &args, wanted.as_ref())).collect();
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
    let mut table = Table::new(&["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]);
    for row in &rows {
        let cell = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        table.row(["Repository", "Tag", "ID", "CreatedSince", "Size"].map(cell).into());
    }
    print!("{}", table.render());
    Ok(0)
}

pub(crate) fn created(image: &Image) -> engine::Nanos {
    image.config.created.as_deref().and_then(amount::parse_rfc3339).unwrap_or_default()
}

fn rows(image: &Image, args: &Args, wanted: Option<&Reference>) -> Vec<Value> {
    let id = if args.no_trunc { image.id.to_string() } else { image.id.short().to_owned() };
    let row = |repository: String, tag: String, digest: String| {
        let since = match created(image) {
            0 => "N/A".to_owned(),
            time => format!("{} ago", amount::span(amount::since(time))),
        };
        json!({
            "Repository": repository, "Tag": tag, "ID": id, "CreatedSince": since, "Size": amount::size(image.size),
            "CreatedAt": image.config.created, "Digest": digest,
        })
    };
    let none = || "<none>".to_owned();
    if image.names.is_empty() && wanted.is_none() {
        return vec![row(none(), none(), image.target.to_string())];
    }
    let matches = |name: &&Reference| {
        wanted.is_none_or(|wanted| wanted.registry() == name.registry() && wanted.repository() == name.repository())
    };
    let named = |name: &Reference| {
        let tag = name.tag().map_or_else(none, str::to_owned);
        row(name.familiar_name(), tag, image.target.to_string())
    };
    image.names.iter().filter(matches).map(named).collect()
}
