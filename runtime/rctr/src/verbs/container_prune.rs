//! `rctr container prune`.

use anyhow::Result;
use engine::{Container, Error, Nanos};

use super::prune::confirmed;
use crate::context::Context;
use crate::output::amount;
use crate::{exit, parse};

/// Remove all containers that do not run
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Only those that fit: until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE]
    #[arg(long, value_name = "KEY=VALUE", value_parser = filter)]
    filter: Vec<Filter>,
}

/// All of them must fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Filter {
    /// Made before this time.
    Until(Nanos),
    /// It has this label, or does not have it.
    Label { key: String, value: Option<String>, has: bool },
}

/// Removes the containers, and prints their ids and what that freed.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    if !args.force && !confirmed("containers that do not run")? {
        return Ok(0);
    }
    let (mut code, mut freed, mut gone) = (0, 0, Vec::new());
    for container in engine.containers()? {
        if container.is_running() || !args.filter.iter().all(|filter| filter.fits(&container)) {
            continue;
        }
        let size = engine.written_size(&container.record);
        match engine.remove(&container.record.id, false, false) {
            Ok(()) => {
                freed += size;
                gone.push(container.record.id);
            }
            // Somebody else was faster, or has started it.
            Err(Error::NoSuchContainer(_) | Error::Running(_)) => {}
            Err(error) => code = exit::report(&error.into()),
        }
    }
    if !gone.is_empty() {
        println!("Deleted Containers:\n{}\n", gone.join("\n"));
    }
    println!("Total reclaimed space: {}", amount::size(freed));
    Ok(code)
}

fn filter(text: &str) -> Result<Filter, String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is no filter: the form is KEY=VALUE"))?;
    let label = |has| {
        let (key, value) = value.split_once('=').map_or((value, None), |(key, value)| (key, Some(value.to_owned())));
        Filter::Label { key: key.to_owned(), value, has }
    };
    match key {
        "until" => Ok(Filter::Until(parse::moment(value)?)),
        "label" => Ok(label(true)),
        "label!" => Ok(label(false)),
        _ => Err(format!("there is no filter {key:?}: there are until, label and label!")),
    }
}

impl Filter {
    fn fits(&self, container: &Container) -> bool {
        match self {
            Filter::Until(time) => container.record.created < *time,
            Filter::Label { key, value, has } => {
                let own = container.record.labels.get(key);
                own.is_some_and(|own| value.as_ref().is_none_or(|value| value == own)) == *has
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read() {
        let label = |value: Option<&str>, has| Ok(Filter::Label { key: "a".into(), value: value.map(str::to_owned), has });
        assert_eq!(filter("label=a"), label(None, true));
        assert_eq!(filter("label=a=b=c"), label(Some("b=c"), true));
        assert_eq!(filter("label!=a"), label(None, false));
        assert!(filter("until=10m").is_ok() && filter("until=x").is_err() && filter("name=a").is_err() && filter("label").is_err());
    }
}
