//! `rctr logs`.

mod lines;
mod several;

use anyhow::Result;
use engine::{LogOptions, Nanos};

pub(crate) use lines::details;

use crate::context::Context;
use crate::parse;

/// Print what containers wrote
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Go on until the containers end
    #[arg(short, long)]
    follow: bool,
    /// Only the last N lines
    #[arg(short = 'n', long, value_name = "N", default_value = "all", value_parser = tail)]
    tail: Tail,
    /// Only since this time (RFC 3339), or this long ago, such as 10m
    #[arg(long, value_name = "TIME", value_parser = parse::moment)]
    since: Option<Nanos>,
    /// Only until this time
    #[arg(long, value_name = "TIME", value_parser = parse::moment)]
    until: Option<Nanos>,
    /// Show when each line was written
    #[arg(short, long)]
    timestamps: bool,
    /// Show what --log-opt notes with each line
    #[arg(long)]
    details: bool,
    /// Of several containers, show their names instead of their ids before each line
    #[arg(long)]
    names: bool,
    /// Of several containers, show each one's in a colour of its own
    #[arg(long)]
    color: bool,
    /// Names or ids; what several have written is shown in the order of time
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
struct Tail(Option<u64>);

fn tail(text: &str) -> Result<Tail, String> {
    match text {
        "all" | "-1" => Ok(Tail(None)),
        text => {
            text.parse().map(|count| Tail(Some(count))).map_err(|_| format!("{text:?} is no number of lines: give one, or all"))
        }
    }
}

/// Prints the lines, standard error's to standard error.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let options = LogOptions { follow: args.follow, tail: args.tail.0, since: args.since, until: args.until };
    let notes = |name: &str| -> Result<Option<String>> {
        if args.details { Ok(Some(lines::details(&engine.log_notes(name)?))) } else { Ok(None) }
    };
    let mut printer = lines::Printer::new(args.timestamps, args.follow);
    if let [name] = args.containers.as_slice() {
        let before = lines::Before { whose: String::new(), after: "", details: notes(name)? };
        for line in engine.logs(name, &options)? {
            printer.print(&before, &line?)?;
        }
    } else {
        let mut before = Vec::new();
        for (at, name) in args.containers.iter().enumerate() {
            let record = engine.container(name)?.record;
            let whose = if args.names { record.name.as_str() } else { &record.id[..12] };
            before.push(lines::Before::of(whose, args.color.then_some(at), notes(name)?));
        }
        several::print(&engine, &args.containers, &before, &options, &mut printer)?;
    }
    printer.finish()?;
    Ok(0)
}
