//! `list`: all containers.

use super::Verb;
use super::state::State;
use crate::args::{Args, Order, switch, value};
use crate::error::{Failed, Result};
use crate::{Context, output, store};

pub(super) const VERB: Verb = Verb {
    name: "list",
    usage: "[FLAGS]",
    about: "list containers",
    flags: &[value(&["format", "f"], "FORMAT", "table or json"), switch(&["quiet", "q"], "only ids")],
    flags_come: Order::Anywhere,
    run,
};

fn run(context: &Context, args: &Args) -> Result<u8> {
    let mut all = Vec::new();
    for entry in store::all(&context.root)? {
        // Removed meanwhile, not yet written, or unreadable: that must not hide the others.
        match entry.read() {
            Ok(Some(record)) => all.push((entry, record)),
            Ok(None) => {}
            Err(failed) => context.log.warn(&failed.message),
        }
    }
    let states: Vec<State<'_>> = all.iter().map(|(entry, record)| State::of(entry, record)).collect();
    if args.on("quiet") {
        return output::print(&states.iter().map(|state| format!("{}\n", state.id)).collect::<String>());
    }
    match args.get("format").unwrap_or("table") {
        "json" => output::line(&states),
        "table" => output::print(&table(&states)),
        other => Err(Failed::new(format!("invalid format option {other:?}: it is table or json"))),
    }
}

fn table(states: &[State<'_>]) -> String {
    let mut rows = vec![["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned)];
    rows.extend(states.iter().map(|state| {
        let bundle = state.bundle.display().to_string();
        [state.id.to_owned(), state.pid.to_string(), state.status.clone(), bundle, state.created.to_owned(), state.owner.clone()]
    }));
    output::columns(&rows)
}
