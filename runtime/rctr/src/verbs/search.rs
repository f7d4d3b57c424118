//! `rctr search`.

use anyhow::{Context as _, Result, bail};
use images::{Found, Reference};
use serde_json::{Value, json};

use super::manifest::options;
use crate::context::Context;
use crate::output::table::{Table, cut};
use crate::output::template;

/// Search a registry for repositories
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only those that fit: is-official=BOOL, is-automated=BOOL, stars=LEAST
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = filter)]
    filter: Vec<Filter>,
    /// At most so many, from 1 to 100
    #[arg(long, value_name = "NUMBER", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=100))]
    limit: u32,
    /// Print whole descriptions
    #[arg(long)]
    no_trunc: bool,
    /// List the tags of the repository TERM instead
    #[arg(long, conflicts_with_all = ["filter", "no_trunc"])]
    list_tags: bool,
    /// json, a Go template, or "table TEMPLATE"
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// What to look for on Docker Hub, or REGISTRY/TERM
    term: String,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Filter {
    Official(bool),
    Automated(bool),
    Stars(u64),
}

/// `KEY=VALUE`.
pub(crate) fn filter(text: &str) -> Result<Filter, String> {
    let wrong = || format!("{text:?}: there are is-official=true|false, is-automated=true|false and stars=NUMBER");
    let found = match text.split_once('=') {
        Some(("is-official", value)) => value.parse().ok().map(Filter::Official),
        Some(("is-automated", value)) => value.parse().ok().map(Filter::Automated),
        Some(("stars", value)) => value.parse().ok().map(Filter::Stars),
        _ => None,
    };
    found.ok_or_else(wrong)
}

impl Filter {
    fn fits(self, found: &Found) -> bool {
        match self {
            Filter::Official(wanted) => found.official == wanted,
            Filter::Automated(wanted) => found.automated == wanted,
            Filter::Stars(least) => found.stars >= least,
        }
    }
}

/// Prints one row for each repository, those that most people like first.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    if args.list_tags {
        return list_tags(context, &args);
    }
    let found = found(context, &args.term, args.limit, &args.filter)?;
    let mark = |on: bool| if on { "[OK]" } else { "" };
    let row = |one: &Found| {
        // One line, whatever the owner has written.
        let text = one.description.replace(['\n', '\r', '\t'], " ");
        json!({
            "Name": one.name, "Description": if args.no_trunc { text } else { cut(&text, 45) }, "StarCount": one.stars.to_string(),
            "IsOfficial": mark(one.official), "IsAutomated": mark(one.automated),
        })
    };
    let columns = [("NAME", "Name"), ("DESCRIPTION", "Description"), ("STARS", "StarCount"), ("OFFICIAL", "IsOfficial")];
    print(&found.iter().map(row).collect::<Vec<_>>(), &columns, args.format.as_deref())
}

/// Those that fit, the ones that most people like first.
pub(crate) fn found(context: &Context, term: &str, limit: u32, filters: &[Filter]) -> Result<Vec<Found>> {
    let (any, term) = split(term)?;
    let mut found = images::search(&any, term, limit, &options(context)?)?;
    found.retain(|one| filters.iter().all(|filter| filter.fits(one)));
    found.sort_by_key(|one| std::cmp::Reverse(one.stars));
    Ok(found)
}

fn list_tags(context: &Context, args: &Args) -> Result<i32> {
    let reference: Reference = args.term.parse()?;
    let tags = images::tags(&reference, &options(context)?)?;
    let row = |tag: &String| json!({ "Name": reference.familiar_name(), "Tag": tag });
    let rows: Vec<Value> = tags.iter().take(args.limit as usize).map(row).collect();
    print(&rows, &[("NAME", "Name"), ("TAG", "Tag")], args.format.as_deref())
}

fn print(rows: &[Value], columns: &[(&str, &str)], format: Option<&str>) -> Result<i32> {
    if let Some(format) = format {
        print!("{}", template::rows(format, rows)?);
        return Ok(0);
    }
    let (head, keys): (Vec<_>, Vec<_>) = columns.iter().copied().unzip();
    let mut table = Table::new(&head);
    for row in rows {
        table.row(keys.iter().map(|key| template::plain(&row[*key])).collect());
    }
    print!("{}", table.render());
    Ok(0)
}

/// Some name in the registry to be searched, and what to look for there: as with names of images, what has a dot or a colon before the first
/// slash is a registry.
fn split(text: &str) -> Result<(Reference, &str)> {
    let (registry, term) = match text.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest),
        _ => ("docker.io", text),
    };
    if term.is_empty() {
        bail!("search: {text:?} says nothing to look for: the form is [REGISTRY/]TERM");
    }
    let any = format!("{registry}/any/any").parse();
    Ok((any.with_context(|| format!("search: {registry:?} is no registry"))?, term))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_to_look_for_what() {
        let of = |text| split(text).map(|(any, term)| (any.registry().to_owned(), term)).ok();
        assert_eq!(of("nginx"), Some(("docker.io".to_owned(), "nginx")));
        assert_eq!(of("library/nginx"), Some(("docker.io".to_owned(), "library/nginx")));
        assert_eq!(of("localhost:5000/a b"), Some(("localhost:5000".to_owned(), "a b")));
        assert_eq!(of("quay.io/"), None);
        assert!(filter("stars=3").is_ok() && filter("stars=x").is_err() && filter("is-official").is_err());
    }
}
