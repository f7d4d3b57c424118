//! `rctr events`.

use std::io::Write;

use anyhow::Result;
use engine::{EventOptions, Happened, Nanos};

use crate::context::Context;
use crate::output::{amount, template};
use crate::parse;

/// Print what happens to containers, images, networks and volumes
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also what has happened since this time (RFC 3339), or this long ago, such as 10m
    #[arg(long, value_name = "TIME", value_parser = parse::moment)]
    since: Option<Nanos>,
    /// Only until this time
    #[arg(long, value_name = "TIME", value_parser = parse::moment)]
    until: Option<Nanos>,
    /// Only those that fit: container, image, event, type, label, network, volume
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = filter)]
    filter: Vec<(String, String)>,
    /// json, or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

const KEYS: [&str; 9] = ["container", "image", "event", "action", "type", "label", "network", "volume", "scope"];

/// `KEY=VALUE`.
pub(crate) fn filter(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is no filter: the form is KEY=VALUE"))?;
    if !KEYS.contains(&key) {
        return Err(format!("there is no filter {key:?}: there are {}", KEYS.join(", ")));
    }
    Ok((key.to_owned(), value.to_owned()))
}

/// Prints a line an event, as it happens.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let mut out = std::io::stdout().lock();
    for event in engine.events(EventOptions { since: args.since, until: args.until })? {
        let event = event?;
        if !fits(&args.filter, &event) {
            continue;
        }
        let line = match &args.format {
            Some(format) => template::one(format, &serde_json::to_value(&event)?)?,
            None => line(&event),
        };
        writeln!(out, "{line}")?;
        out.flush()?;
    }
    Ok(0)
}

/// `TIME TYPE ACTION ID (KEY=VALUE, …)`.
fn line(event: &Happened) -> String {
    let attributes: Vec<_> = event.actor.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let all = if attributes.is_empty() { String::new() } else { format!(" ({})", attributes.join(", ")) };
    format!("{} {} {} {}{all}", amount::rfc3339(event.nanos), event.kind, event.action, event.actor.id)
}

/// Filters of one key are alternatives, those of different keys must all fit; labels must all fit.
pub(crate) fn fits(filters: &[(String, String)], event: &Happened) -> bool {
    filters.iter().all(|(key, value)| match key.as_str() {
        "label" => fits_one(key, value, event),
        _ => filters.iter().filter(|(other, _)| other == key).any(|(key, value)| fits_one(key, value, event)),
    })
}

fn fits_one(key: &str, value: &str, event: &Happened) -> bool {
    let attribute = |key: &str| event.actor.attributes.get(key).map(String::as_str);
    let named = || event.actor.id.starts_with(value) || attribute("name") == Some(value);
    match key {
        "type" => event.kind == value,
        // `exec_create: ls` is an `exec_create`, `health_status: healthy` a `health_status`.
        "event" | "action" => event.action == value || event.action.split(':').next() == Some(value),
        "image" if event.kind == "container" => attribute("image") == Some(value),
        "container" | "image" | "network" | "volume" => event.kind == key && named(),
        "scope" => event.scope == value,
        "label" => match value.split_once('=') {
            Some((key, value)) => attribute(key) == Some(value),
            None => attribute(value).is_some(),
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_fit() {
        let text = r#"{"Type":"container","Action":"exec_create: ls","Actor":{"ID":"abc","Attributes":{"image":"busybox","name":"app","l":"1"}},
            "scope":"local","time":1,"timeNano":1000000001}"#;
        let event: Happened = serde_json::from_str(text).unwrap();
        let fit = |all: &[&str]| fits(&all.iter().map(|one| filter(one).unwrap()).collect::<Vec<_>>(), &event);
        for all in [
            &[][..],
            &["container=app"],
            &["container=ab", "type=container"],
            &["event=exec_create", "event=die"],
            &["label=l", "label=l=1", "image=busybox"],
        ] {
            assert!(fit(all), "{all:?}");
        }
        for all in [&["container=other"][..], &["event=die"], &["label=l", "label=m"], &["type=network"], &["network=app"]] {
            assert!(!fit(all), "{all:?}");
        }
        assert_eq!(line(&event), "1970-01-01T00:00:01.000000001Z container exec_create: ls abc (image=busybox, l=1, name=app)");
        assert!(filter("x").is_err() && filter("daemon=x").is_err());
    }
}
