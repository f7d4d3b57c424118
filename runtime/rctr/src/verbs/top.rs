//! `rctr top`.

mod columns;
mod process;

use anyhow::Result;
use engine::Engine;

use crate::context::Context;
use crate::output::table::Table;
use process::Process;

/// Show the processes of a container, as the host sees them
#[derive(Debug, clap::Args)]
#[command(override_usage = "rctr top CONTAINER [PS OPTIONS]")]
pub(crate) struct Args {
    /// Name or id
    container: String,
    /// What ps(1) would be told: -ef, aux, or -o with a list of columns
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "PS OPTIONS")]
    options: Vec<String>,
}

/// Prints a row for each process. No ps is run: not every host has one, and what it prints depends on whose it is.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let (titles, rows) = rows(&context.engine()?, &args.container, &args.options)?;
    let mut table = Table::new(&titles.iter().map(String::as_str).collect::<Vec<_>>());
    rows.into_iter().for_each(|row| table.row(row));
    print!("{}", table.render());
    Ok(0)
}

/// The columns' titles, and a row for each process.
pub(crate) fn rows(engine: &Engine, container: &str, options: &[String]) -> Result<(Vec<String>, Vec<Vec<String>>)> {
    let columns = columns::chosen(options)?;
    let pids = engine.processes(container)?;
    let host = process::Host::read()?;
    // One that has ended meanwhile is left out.
    let processes = pids.into_iter().filter_map(Process::read);
    let rows = processes.map(|process| columns.iter().map(|column| (column.value)(&process, &host)).collect()).collect();
    Ok((columns.into_iter().map(|column| column.title).collect(), rows))
}
