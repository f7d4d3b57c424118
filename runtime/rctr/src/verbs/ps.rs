//! `rctr ps`.

pub(crate) mod filter;
mod row;

pub(crate) use row::{row, state};

use anyhow::Result;
use serde_json::Value;

use crate::context::Context;
use crate::exit;
use crate::output::table::Table;
use crate::output::{amount, template};

/// List containers
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also those that do not run
    #[arg(short, long)]
    all: bool,
    /// Print only ids
    #[arg(short, long)]
    quiet: bool,
    /// Only the last N that were made, whether they run or not
    #[arg(short = 'n', long, value_name = "N")]
    last: Option<usize>,
    /// Only the last that was made
    #[arg(short, long)]
    latest: bool,
    /// Also print how much each has written
    #[arg(short, long)]
    size: bool,
    /// Print whole ids and commands
    #[arg(long)]
    no_trunc: bool,
    /// Only those that fit: id, name, label, status, exited, ancestor, publish, expose, network, volume, before, since, health
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = filter::parse)]
    filter: Vec<filter::Filter>,
    /// json, a Go template, or "table TEMPLATE"
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

/// Prints the containers that fit, newest first.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let (everything, damaged) = engine.survey()?;
    for error in damaged {
        exit::report(&error.into());
    }
    let last = if args.latest { Some(1) } else { args.last };
    let fitting = fitting(&everything, args.all, last, &args.filter)?;
    // To look for it takes time: only for who wants to know.
    let sizes = args.size || args.format.as_ref().is_some_and(|format| format.contains(".Size"));
    let row = |container: &engine::Container| {
        let mut row = row(container, args.no_trunc);
        if sizes {
            row["Size"] = size(&engine, container).into();
        }
        row
    };
    let rows: Vec<Value> = fitting.into_iter().map(row).collect();
    if args.quiet {
        rows.iter().for_each(|row| println!("{}", template::plain(&row["ID"])));
        return Ok(0);
    }
    if let Some(format) = &args.format {
        print!("{}", template::rows(format, &rows)?);
        return Ok(0);
    }
    let mut titles = vec!["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"];
    let mut keys = vec!["ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names"];
    if args.size {
        titles.push("SIZE");
        keys.push("Size");
    }
    let mut table = Table::new(&titles);
    for row in &rows {
        table.row(keys.iter().map(|key| template::plain(&row[*key])).collect());
    }
    print!("{}", table.render());
    Ok(0)
}

/// Those of `everything` that fit: without `all`, and unless some of the last or a status are asked for, only those that run.
pub(crate) fn fitting<'a>(
    everything: &'a [engine::Container],
    all: bool,
    last: Option<usize>,
    filters: &[filter::Filter],
) -> Result<Vec<&'a engine::Container>> {
    let ended = all || last.is_some() || filters.iter().any(filter::Filter::is_about_status);
    let fits = filter::all(filters, everything)?;
    let fitting = everything.iter().filter(|container| ended || container.is_running());
    Ok(fitting.filter(|container| fits(container)).take(last.unwrap_or(usize::MAX)).collect())
}

/// What a container has written, and with that what its image has, as Docker puts it.
fn size(engine: &engine::Engine, container: &engine::Container) -> String {
    let (written, image) = sizes(engine, container);
    format!("{} (virtual {})", amount::size(written), amount::size(image.saturating_add(written)))
}

/// Bytes that a container has written, and those that its image has.
pub(crate) fn sizes(engine: &engine::Engine, container: &engine::Container) -> (u64, u64) {
    let record = &container.record;
    let image = record.image.layers.iter().filter_map(|layer| engine.images().unpacked_size(layer).ok()).sum();
    (engine.written_size(record), image)
}
