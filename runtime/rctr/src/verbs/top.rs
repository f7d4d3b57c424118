//! `rctr top`.

mod columns;
mod process;

use anyhow::Result;

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
    let columns = columns::chosen(&args.options)?;
    let pids = context.engine()?.processes(&args.container)?;
    let host = process::Host::read()?;
    let titles: Vec<&str> = columns.iter().map(|column| column.title.as_str()).collect();
    let mut table = Table::new(&titles);
    // One that has ended meanwhile is left out.
    for process in pids.into_iter().filter_map(Process::read) {
        table.row(columns.iter().map(|column| (column.value)(&process, &host)).collect());
    }
    print!("{}", table.render());
    Ok(0)
}
