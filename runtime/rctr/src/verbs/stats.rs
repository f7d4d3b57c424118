//! `rctr stats`.

mod row;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::Result;
use engine::{Container, Engine, Usage};
use serde_json::Value;

use crate::context::Context;
use crate::output::table::Table;
use crate::output::template;

/// Show what containers use, again and again
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also those that do not run
    #[arg(short, long)]
    all: bool,
    /// Print whole ids
    #[arg(long)]
    no_trunc: bool,
    /// Print it once
    #[arg(long)]
    no_stream: bool,
    /// Seconds between two readings
    #[arg(short, long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    interval: u64,
    /// Print each table below the last one, on a terminal too
    #[arg(long)]
    no_reset: bool,
    /// json, a Go template, or "table TEMPLATE"
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Names or ids; all that run, without any
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// When and what was read of each container.
type Readings = BTreeMap<String, (Instant, Usage)>;

/// Prints the table; on a terminal over the last one.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    // A name that nobody has is an error at once; one that goes later is left out.
    let given = args.containers.iter().map(|name| Ok(engine.container(name)?.record.id)).collect::<Result<Vec<_>>>()?;
    let mut last = Readings::new();
    let in_place = !args.no_stream && !args.no_reset && io::stdout().is_terminal();
    // Shares of processor time need two readings, and say little more often than every second.
    let interval = Duration::from_secs(args.interval);
    let mut again = false;
    loop {
        let due = Instant::now() + interval;
        let containers = watched(&engine, &given, args.all)?;
        let mut readings = Readings::new();
        for container in &containers {
            if let Some(usage) = engine.usage(container)? {
                readings.insert(container.record.id.clone(), (Instant::now(), usage));
            }
        }
        // The first reading gives no shares of time, so once is shown after the second one, unless nothing runs.
        let enough = again || readings.is_empty();
        if enough || !args.no_stream {
            let rows: Vec<Value> =
                containers.iter().map(|container| row::row(container, &last, &readings, args.no_trunc)).collect();
            let text = text(&rows, args.format.as_deref())?;
            let mut out = io::stdout().lock();
            // Home, the table with each line's rest cleared, and nothing below it.
            let text = if in_place { format!("\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n")) } else { text };
            out.write_all(text.as_bytes())?;
            out.flush()?;
        }
        if args.no_stream && enough {
            return Ok(0);
        }
        (last, again) = (readings, true);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

/// The containers to show: those given, or those that run.
fn watched(engine: &Engine, given: &[String], all: bool) -> Result<Vec<Container>> {
    let mut containers = engine.containers()?;
    containers.retain(|container| match given.is_empty() {
        true => all || container.is_running(),
        false => given.contains(&container.record.id),
    });
    Ok(containers)
}

fn text(rows: &[Value], format: Option<&str>) -> Result<String> {
    if let Some(format) = format {
        return template::rows(format, rows);
    }
    let head = ["CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS"];
    let mut table = Table::new(&head);
    for row in rows {
        let keys = ["ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"];
        table.row(keys.map(|key| template::plain(&row[key])).into());
    }
    Ok(table.render())
}
