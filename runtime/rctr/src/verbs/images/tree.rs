//! `rctr images --tree`: images with the platforms of their indexes.

use anyhow::Result;
use engine::Engine;
use images::{Image, Variant};

use super::filter::Wanted;
use crate::output::amount::size;
use crate::output::table::Table;

/// Prints each image, below it one row for each platform of its index, whether it is here or not. `U` says that containers use it.
pub(super) fn print(engine: &Engine, images: &[Image], wanted: &Wanted<'_>) -> Result<()> {
    let mut table = Table::new(&["IMAGE", "ID", "DISK USAGE", "CONTENT SIZE", "EXTRA"]);
    for image in images.iter().filter(|image| wanted.image(image)) {
        let mut names: Vec<String> = image.names.iter().filter(|name| wanted.name(name)).map(|name| name.familiar()).collect();
        if names.is_empty() {
            if !image.names.is_empty() || !wanted.nameless() {
                continue;
            }
            names.push("<untagged>".to_owned());
        }
        let variants = engine.images().variants(image)?;
        let here: Vec<&Image> = variants.iter().filter_map(|variant| variant.image.as_ref()).collect();
        let (last, others) = (names.pop().unwrap_or_default(), names);
        others.into_iter().for_each(|name| table.row(vec![name, String::new(), String::new(), String::new(), String::new()]));
        table.row(row(engine, last, image.target.short(), &here));
        // An image that came with no index is its only platform.
        let children: &[Variant] = if image.target == image.manifest { &[] } else { &variants };
        for (at, variant) in children.iter().enumerate() {
            let branch = if at + 1 == children.len() { "└─" } else { "├─" };
            let platform = variant.platform.as_ref().map_or_else(|| "unknown".to_owned(), ToString::to_string);
            let own: Vec<&Image> = variant.image.iter().collect();
            table.row(row(engine, format!("{branch} {platform}"), variant.manifest.short(), &own));
        }
    }
    print!("{}", table.render());
    Ok(())
}

fn row(engine: &Engine, name: String, id: &str, here: &[&Image]) -> Vec<String> {
    let unpacked = here.iter().map(|image| image.size).sum();
    let packed = here.iter().flat_map(|image| &image.layers).map(|layer| layer.size).sum();
    let used = here.iter().any(|image| !engine.users_of(image).is_empty());
    vec![name, id.to_owned(), size(unpacked), size(packed), if used { "U" } else { "" }.to_owned()]
}
