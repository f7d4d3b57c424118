//! `rctr image check`.

use anyhow::Result;
use engine::Engine;
use images::{Checked, Digest, Remedy};

use crate::context::Context;

/// See whether images are what they were when they came
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Drop what is damaged, so that the next pull brings it back
    #[arg(long)]
    repair: bool,
    /// Print only what is damaged
    #[arg(short, long)]
    quiet: bool,
    /// Names or ids; without any, all images
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
}

/// There is damage, and it is still there.
const DAMAGED: i32 = 1;

/// Prints a line for each image, and what is wrong with it. 0: all that is left is whole.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let users = |layer: &Digest| running(&engine, layer);
    let (mut images, mut damaged, mut left) = (0_usize, 0_usize, false);
    let mut each = |checked: &Checked| {
        images += 1;
        damaged += usize::from(!checked.faults.is_empty());
        left |= checked.faults.iter().any(|fault| fault.remedy != Remedy::Dropped);
        if !args.quiet || !checked.faults.is_empty() {
            print(checked);
        }
    };
    engine.images().check(&args.images, args.repair.then_some(&users as images::Users<'_>), &mut each)?;
    if !args.quiet {
        let whole = if damaged == 0 { "all whole".to_owned() } else { format!("{damaged} damaged") };
        println!("{images} {}: {whole}", if images == 1 { "image" } else { "images" });
    }
    if damaged > 0 && !args.repair {
        eprintln!("rctr: --repair drops what is damaged, and the next pull brings it back");
    }
    Ok(if left { DAMAGED } else { 0 })
}

fn print(checked: &Checked) {
    let layers = if checked.layers == 1 { "layer" } else { "layers" };
    let state = if checked.faults.is_empty() { "whole" } else { "DAMAGED" };
    println!("{}: {state}, {} {layers}", checked.names.join(" "), checked.layers);
    for digest in &checked.unknown {
        println!("  layer {digest}: of an older version: its content cannot be compared");
    }
    for fault in &checked.faults {
        for flaw in &fault.flaws {
            let place = if flaw.path.is_empty() { String::new() } else { format!(" {}", flaw.path) };
            println!("  {}{place}: {}", fault.part, flaw.what);
        }
        match &fault.remedy {
            Remedy::None => println!("    in {}", fault.place.display()),
            Remedy::Dropped => println!("    dropped: pull the image again"),
            Remedy::InUse(users) => println!("    kept: it is used by {}: stop them first", users.join(", ")),
        }
    }
}

/// Ids of running containers with this layer.
fn running(engine: &Engine, layer: &Digest) -> Vec<String> {
    let Ok(containers) = engine.containers() else { return vec!["containers that cannot be listed".to_owned()] };
    let uses = containers.iter().filter(|container| container.is_running() && container.record.image.layers.contains(layer));
    uses.map(|container| container.record.id[..12].to_owned()).collect()
}
