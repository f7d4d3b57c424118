//! `rctr secret ls`.

use anyhow::Result;
use engine::Secret;
use serde_json::{Value, json};

use crate::context::Context;
use crate::output::table::Table;
use crate::output::{amount, template};

/// List secrets
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print only ids
    #[arg(short, long)]
    quiet: bool,
    /// Only those that fit: id, name
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = filter)]
    filter: Vec<(String, String)>,
    /// json, a Go template, or "table TEMPLATE"
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

fn filter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key @ ("id" | "name"), value)) => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is no filter: there are id=ID and name=NAME")),
    }
}

/// Prints the secrets that fit, by name.
pub(super) fn run(context: &Context, args: &Args) -> Result<i32> {
    let all = context.engine()?.secrets()?;
    let fitting: Vec<&Secret> = all.iter().filter(|secret| fits(&args.filter, secret)).collect();
    if args.quiet {
        fitting.iter().for_each(|secret| println!("{}", secret.id));
        return Ok(0);
    }
    if let Some(format) = &args.format {
        let rows: Vec<Value> = fitting.iter().map(|secret| row(secret)).collect();
        print!("{}", template::rows(format, &rows)?);
        return Ok(0);
    }
    let mut table = Table::new(&["ID", "NAME", "DRIVER", "CREATED", "UPDATED"]);
    for secret in fitting {
        let (created, updated) = (ago(secret.created), ago(secret.updated));
        table.row(vec![secret.id.clone(), secret.name.clone(), "file".to_owned(), created, updated]);
    }
    print!("{}", table.render());
    Ok(0)
}

fn ago(then: engine::Nanos) -> String {
    format!("{} ago", amount::span(amount::since(then)))
}

/// The fields that templates know.
fn row(secret: &Secret) -> Value {
    let (created, updated) = (ago(secret.created), ago(secret.updated));
    json!({"ID": secret.id, "Name": secret.name, "Driver": "file", "CreatedAt": created, "UpdatedAt": updated})
}

/// Filters of one key are alternatives.
fn fits(filters: &[(String, String)], secret: &Secret) -> bool {
    let one = |(key, value): &(String, String)| match key.as_str() {
        "id" => secret.id.starts_with(value),
        _ => secret.name.contains(value.as_str()),
    };
    ["id", "name"].iter().all(|key| {
        let mut of_key = filters.iter().filter(|(own, _)| own == key).peekable();
        of_key.peek().is_none() || of_key.any(one)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_fit() {
        let secret = Secret { id: "abc".into(), name: "db".into(), created: 0, updated: 0, labels: [].into() };
        let fit = |all: &[&str]| fits(&all.iter().map(|one| filter(one).unwrap()).collect::<Vec<_>>(), &secret);
        assert!(fit(&[]) && fit(&["id=ab", "name=d"]) && fit(&["name=x", "name=b"]) && !fit(&["id=ab", "name=x"]));
        assert!(filter("label=x").is_err());
    }
}
