//! `rctr image mount`.

use std::path::PathBuf;

use anyhow::Result;
use engine::{Engine, View};
use serde_json::{Value, json};

use crate::context::{self, Context};
use crate::output::table::Table;
use crate::output::template;

/// Mount an image to look at its files, or list the images that are mounted
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// List as json, or with a Go template
    #[arg(long, value_name = "FORMAT", conflicts_with = "image")]
    format: Option<String>,
    /// Print whole ids in the list
    #[arg(long)]
    no_trunc: bool,
    /// Its name or id; nothing: list
    image: Option<String>,
    /// A folder to mount it at [default: one below the runtime folder]
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Prints where the image is.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let Some(name) = &args.image else { return list(&engine, &args) };
    let folder = args.folder.as_deref().map(context::absolute).transpose()?;
    let path = engine.mount_image(&engine.images().image(name)?, folder.as_deref())?;
    println!("{}", path.display());
    Ok(0)
}

fn list(engine: &Engine, args: &Args) -> Result<i32> {
    let images = engine.images().images()?;
    let row = |View { manifest, path }: View| -> Value {
        // An image that was removed by force has neither names nor an id.
        let image = images.iter().find(|image| image.manifest == manifest);
        let id = image.map_or(&manifest, |image| &image.id);
        let id = if args.no_trunc { id.to_string() } else { id.short().to_owned() };
        let names: Vec<String> = image.iter().flat_map(|image| &image.names).map(images::Reference::familiar).collect();
        json!({ "ID": id, "Names": names, "Image": names.first().map_or("<none>", String::as_str), "Mountpoint": path })
    };
    let rows: Vec<Value> = engine.views()?.into_iter().map(row).collect();
    if let Some(format) = &args.format {
        print!("{}", template::rows(format, &rows)?);
        return Ok(0);
    }
    let mut table = Table::new(&["IMAGE", "IMAGE ID", "MOUNTPOINT"]);
    for row in &rows {
        let cell = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        table.row(["Image", "ID", "Mountpoint"].map(cell).into());
    }
    print!("{}", table.render());
    Ok(0)
}
