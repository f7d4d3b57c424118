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
    /// Whose its folder is: a number, as is -o o=uid=UID
    #[arg(long, value_name = "UID")]
    uid: Option<u32>,
    /// Its group, as is -o o=gid=GID
    #[arg(long, value_name = "GID")]
    gid: Option<u32>,
    /// It is no error that there is one of this name with other options, which stays as it is
    #[arg(long, requires = "name")]
    ignore: bool,
    /// Its name; one is made up when there is none
    name: Option<String>,
}

/// Makes the volume and prints its name.
pub(super) fn run(context: &Context, args: Args) -> Result<i32> {
    let options = options(&args)?;
    let spec = VolumeSpec { labels: args.label.into_iter().collect(), options };
    spec.check_options().context("--opt")?;
    let engine = context.engine()?;
    let known = args.name.as_deref().filter(|_| args.ignore).and_then(|name| engine.volume(name).ok());
    let volume = known.map_or_else(|| engine.volume_create(args.name.as_deref(), &spec), Ok)?;
    println!("{}", volume.name);
    Ok(0)
}

/// What the driver is told.
fn options(args: &Args) -> Result<BTreeMap<String, String>> {
    let mut options = BTreeMap::new();
    for option in &args.opt {
        let Some((key, value)) = option.split_once('=') else {
            bail!("--opt {option:?}: the form is KEY=VALUE, and the keys are type, device and o");
        };
        options.insert(key.to_owned(), value.to_owned());
    }
    for (key, id) in [("uid", args.uid), ("gid", args.gid)].into_iter().filter_map(|(key, id)| Some((key, id?))) {
        let all: &mut String = options.entry("o".to_owned()).or_default();
        if all.split(',').any(|option| option.starts_with(&format!("{key}="))) {
            bail!("--{key}: the option {key} of --opt says it, too");
        }
        let comma = if all.is_empty() { "" } else { "," };
        *all = format!("{all}{comma}{key}={id}");
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn owners_are_options() {
        let of = |flags: &[&str]| options(&Line::try_parse_from(["x"].iter().chain(flags)).unwrap().args);
        assert_eq!(of(&["--uid", "7", "--gid=8"]).unwrap()["o"], "uid=7,gid=8");
        assert_eq!(of(&["-o", "o=size=1m", "--gid", "8", "-o", "type=tmpfs"]).unwrap()["o"], "size=1m,gid=8");
        assert!(of(&[]).unwrap().is_empty());
        assert!(of(&["-o", "o=uid=1", "--uid", "2"]).unwrap_err().to_string().starts_with("--uid"));
        assert!(Line::try_parse_from(["x", "--uid", "nobody"]).is_err() && Line::try_parse_from(["x", "--ignore"]).is_err());
    }
}
