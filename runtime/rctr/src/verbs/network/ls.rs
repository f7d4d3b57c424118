//! `rctr network ls`.

use anyhow::Result;
use engine::{NetworkRecord, Record};
use serde_json::{Value, json};

use super::filter::{self, Filter};
use crate::context::Context;
use crate::output::amount::rfc3339;
use crate::output::table::Table;
use crate::output::template;

/// List networks
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print only ids
    #[arg(short, long)]
    quiet: bool,
    /// Print whole ids
    #[arg(long)]
    no_trunc: bool,
    /// Only those that fit: dangling, driver, id, label, name, scope, type
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = filter::parse)]
    filter: Vec<Filter>,
    /// json, a Go template, or "table TEMPLATE"
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

/// Prints the networks that fit, by name.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let users: Vec<Record> = match filter::asks_for_users(&args.filter) {
        true => engine.containers()?.into_iter().map(|container| container.record).collect(),
        false => Vec::new(),
    };
    let networks = engine.networks()?;
    let fitting = networks.iter().filter(|network| filter::all(&args.filter, network, &users));
    let rows: Vec<Value> = fitting.map(|network| row(network, args.no_trunc)).collect();
    if args.quiet {
        rows.iter().for_each(|row| println!("{}", template::plain(&row["ID"])));
        return Ok(0);
    }
    if let Some(format) = &args.format {
        print!("{}", template::rows(format, &rows)?);
        return Ok(0);
    }
    let mut table = Table::new(&["NETWORK ID", "NAME", "DRIVER", "SCOPE"]);
    for row in &rows {
        table.row(["ID", "Name", "Driver", "Scope"].map(|key| template::plain(&row[key])).into());
    }
    print!("{}", table.render());
    Ok(0)
}

/// The fields that Docker's templates know.
fn row(network: &NetworkRecord, whole: bool) -> Value {
    let labels: Vec<_> = network.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    json!({
        "ID": if whole { &network.id } else { &network.id[..12] },
        "Name": network.name,
        "Driver": network.driver.word(),
        "Scope": "local",
        "IPv4": network.v4.is_some().to_string(),
        "IPv6": network.v6.is_some().to_string(),
        "Internal": network.internal.to_string(),
        "Labels": labels.join(","),
        "CreatedAt": rfc3339(network.created),
    })
}
