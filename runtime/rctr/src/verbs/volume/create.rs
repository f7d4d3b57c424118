//! `rctr volume create`.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use engine::VolumeSpec;

use crate::context::Context;
use crate::parse;

/// Make a volume
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// local is the only one
    #[arg(short, long, value_name = "DRIVER", default_value = "local", value_parser = ["local"])]
    driver: String,
    /// Add a label: KEY=VALUE
    #[arg(long, value_name = "KEY[=VALUE]", value_parser = parse::label)]
    label: Vec<(String, String)>,
    /// Something that is mounted instead of a folder: type=TYPE, device=DEVICE and o=OPTION,..., as mount(8) has them
    #[arg(short, long, value_name = "KEY=VALUE")]
    opt: Vec<String>,
    /// Its name; one is made up when there is none
    name: Option<String>,
}

/// Makes the volume and prints its name.
pub(super) fn run(context: &Context, args: Args) -> Result<i32> {
    let mut options = BTreeMap::new();
    for option in &args.opt {
        let Some((key, value)) = option.split_once('=') else {
            bail!("--opt {option:?}: the form is KEY=VALUE, and the keys are type, device and o");
        };
        options.insert(key.to_owned(), value.to_owned());
    }
    let spec = VolumeSpec { labels: args.label.into_iter().collect(), options };
    spec.check_options().context("--opt")?;
    println!("{}", context.engine()?.volume_create(args.name.as_deref(), &spec)?.name);
    Ok(0)
}
