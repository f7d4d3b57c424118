//! `rctr history`.

use anyhow::Result;
use engine::Engine;
use images::{History, Image, Platform};
use serde_json::{Value, json};

use crate::context::Context;
use crate::output::table::{Table, cut};
use crate::output::{amount, template};

/// Show how an image was made
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print whole ids and commands
    #[arg(long)]
    no_trunc: bool,
    /// Print only ids
    #[arg(short, long)]
    quiet: bool,
    /// Print sizes and times for people
    #[arg(short = 'H', long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true",
        require_equals = true)]
    human: bool,
    /// Of the image for these machines: OS/ARCHITECTURE[/VARIANT]
    #[arg(long)]
    platform: Option<Platform>,
    /// json, a Go template, or "table TEMPLATE"
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Name or id
    image: String,
}

/// Prints one row for each step, newest first.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let image = engine.images().image_for(&args.image, args.platform.as_ref())?;
    let rows = rows(&image, &sizes(&engine, &image)?, &args);
    if args.quiet {
        rows.iter().for_each(|row| println!("{}", template::plain(&row["ID"])));
        return Ok(0);
    }
    if let Some(format) = &args.format {
        print!("{}", template::rows(format, &rows)?);
        return Ok(0);
    }
    let when = if args.human { "CreatedSince" } else { "CreatedAt" };
    let mut table = Table::new(&["IMAGE", if args.human { "CREATED" } else { "CREATED AT" }, "CREATED BY", "SIZE", "COMMENT"]);
    for row in &rows {
        table.row(["ID", when, "CreatedBy", "Size", "Comment"].map(|key| template::plain(&row[key])).into());
    }
    print!("{}", table.render());
    Ok(0)
}

/// Unpacked bytes of each layer, lowest first.
fn sizes(engine: &Engine, image: &Image) -> Result<Vec<u64>> {
    image.layers.iter().map(|layer| Ok(engine.images().unpacked_size(&layer.digest)?)).collect()
}

fn rows(image: &Image, sizes: &[u64], args: &Args) -> Vec<Value> {
    let steps = matched(image, sizes);
    let ids = std::iter::once(id(image, args.no_trunc)).chain(std::iter::repeat("<missing>".to_owned()));
    steps.iter().rev().zip(ids).map(|((step, size), id)| row(step, *size, &id, args)).collect()
}

/// All steps of an image, the first one first, with the unpacked bytes of the layer that each has made.
pub(crate) fn steps(engine: &Engine, image: &Image) -> Result<Vec<(History, u64)>> {
    Ok(matched(image, &sizes(engine, image)?))
}

/// Steps and layers are matched from the bottom: each step that is not empty made the next layer. Layers that no step
/// tells of get a row without one.
fn matched(image: &Image, sizes: &[u64]) -> Vec<(History, u64)> {
    let mut sizes = sizes.iter().copied();
    let mut steps: Vec<(History, u64)> = Vec::new();
    for step in &image.config.history {
        let size = if step.empty_layer { 0 } else { sizes.next().unwrap_or_default() };
        steps.push((step.clone(), size));
    }
    steps.extend(sizes.map(|size| (History::default(), size)));
    steps
}

fn id(image: &Image, whole: bool) -> String {
    if whole { image.id.to_string() } else { image.id.short().to_owned() }
}

fn row(step: &History, size: u64, id: &str, args: &Args) -> Value {
    let time = step.created.as_deref().and_then(amount::parse_rfc3339);
    let since = time.map_or_else(|| "N/A".to_owned(), |time| format!("{} ago", amount::span(amount::since(time))));
    // One line, whatever the command had.
    let command = step.created_by.replace(['\t', '\n'], " ");
    json!({
        "ID": id,
        "CreatedSince": since,
        "CreatedAt": step.created.as_deref().unwrap_or("N/A"),
        "CreatedBy": if args.no_trunc { command } else { cut(&command, 45) },
        "Size": if args.human { amount::size(size) } else { size.to_string() },
        "Comment": step.comment,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn args(words: &[&str]) -> Args {
        Line::parse_from(["history"].iter().chain(words)).args
    }

    fn image() -> Image {
        let digest: images::Digest = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
        let step = |created_by: &str, empty_layer| History { created_by: created_by.into(), empty_layer, ..History::default() };
        let history = vec![step("ADD base", false), step(&format!("ENV\n{}", "x".repeat(60)), true), step("COPY app", false)];
        let config = images::ImageConfig { history, ..images::ImageConfig::default() };
        Image {
            id: digest.clone(),
            manifest: digest.clone(),
            target: digest,
            names: Vec::new(),
            layers: Vec::new(),
            config,
            size: 0,
        }
    }

    #[test]
    fn steps_get_their_layers() {
        let rows = rows(&image(), &[1000, 20], &args(&["x"]));
        let column = |key: &str| rows.iter().map(|row| template::plain(&row[key])).collect::<Vec<_>>();
        assert_eq!(column("Size"), ["20B", "0B", "1kB"]);
        assert_eq!(column("ID"), ["aaaaaaaaaaaa", "<missing>", "<missing>"]);
        assert_eq!(column("CreatedBy")[1], format!("ENV {}…", "x".repeat(40)));
        assert_eq!(column("CreatedSince")[0], "N/A");
    }

    #[test]
    fn layers_without_a_step_are_shown() {
        let rows = rows(&image(), &[1000, 20, 3], &args(&["--no-trunc", "-H=false", "x"]));
        assert_eq!(rows.len(), 4);
        assert_eq!((template::plain(&rows[0]["Size"]), rows[0]["ID"].as_str().unwrap().len()), ("3".to_owned(), 71));
    }
}
