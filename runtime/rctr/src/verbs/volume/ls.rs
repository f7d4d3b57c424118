//! `rctr volume ls`.

use anyhow::Result;
use engine::{Engine, Volume};
use serde_json::{Value, json};

use super::{filter, shape};
use crate::context::Context;
use crate::output::table::Table;
use crate::output::{amount, template};

/// List volumes
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print only names
    #[arg(short, long)]
    quiet: bool,
    /// Only those that fit: dangling (no container has it), driver, label, name
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = filter::parse)]
    filter: Vec<filter::Filter>,
    /// json, a Go template, or "table TEMPLATE"
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

/// Prints the volumes that fit, by name.
pub(super) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let volumes = engine.volumes()?;
    let fitting: Vec<&Volume> = volumes.iter().filter(|volume| filter::fit(&args.filter, volume)).collect();
    if args.quiet {
        fitting.iter().for_each(|volume| println!("{}", volume.name));
        return Ok(0);
    }
    if let Some(format) = &args.format {
        let sizes = format.contains("Size") || format == "json";
        let rows: Vec<Value> = fitting.iter().map(|volume| row(&engine, volume, sizes)).collect();
        print!("{}", template::rows(format, &rows)?);
        return Ok(0);
    }
    let mut table = Table::new(&["DRIVER", "VOLUME NAME"]);
    fitting.iter().for_each(|volume| table.row(vec!["local".to_owned(), volume.name.clone()]));
    print!("{}", table.render());
    Ok(0)
}

/// The fields that Docker's templates know.
fn row(engine: &Engine, volume: &Volume, size: bool) -> Value {
    let whole = shape(volume);
    let labels = whole["Labels"].as_object().into_iter().flatten();
    let labels: Vec<_> = labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    let size = if size { amount::size(engine.volume_size(volume)) } else { String::new() };
    json!({
        "Availability": "N/A", "Driver": "local", "Group": "N/A", "Labels": labels.join(","), "Links": volume.users.len(),
        "Mountpoint": volume.mountpoint, "Name": volume.name, "Scope": "local", "Size": size, "Status": "N/A",
    })
}
