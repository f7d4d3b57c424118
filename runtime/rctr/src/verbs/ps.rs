//! `rctr ps`.

mod filter;
mod row;

pub(crate) use row::{row, state};

use anyhow::Result;
use serde_json::Value;

use crate::context::Context;
use crate::exit;
use crate::output::table::Table;
use crate::output::template;

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
    /// Print whole ids and commands
    #[arg(long)]
    no_trunc: bool,
    /// Only those that fit: id, name, label, status, exited, ancestor, publish, network, before, since, health
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
    let ended = args.all || last.is_some() || args.filter.iter().any(filter::Filter::is_about_status);
    let fitting = everything.iter().filter(|container| ended || container.is_running());
    let filters = filter::all(&args.filter, &everything)?;
    let fitting = fitting.filter(|container| filters(container)).take(last.unwrap_or(usize::MAX));
    let rows: Vec<Value> = fitting.map(|container| row(container, args.no_trunc)).collect();
    if args.quiet {
        rows.iter().for_each(|row| println!("{}", template::plain(&row["ID"])));
        return Ok(0);
    }
    if let Some(format) = &args.format {
        print!("{}", template::rows(format, &rows)?);
        return Ok(0);
    }
    let mut table = Table::new(&["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]);
    for row in &rows {
        table
            .row(["ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names"].map(|key| template::plain(&row[key])).into());
    }
    print!("{}", table.render());
    Ok(0)
}
