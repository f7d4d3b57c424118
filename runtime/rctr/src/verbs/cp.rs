//! `rctr cp`.

use std::io::{self, IsTerminal};

use anyhow::{Result, bail};
use engine::{CopyFrom, CopyOptions, CopyTo};

use crate::context::Context;
use crate::output::amount;

/// Copy files between a container and the host
///
/// A folder is copied into a folder that is there, and becomes one that is not; SOURCE/. means what is in it. - is a tar archive on
/// standard input or output.
#[derive(Debug, clap::Args)]
#[command(override_usage = "rctr cp [OPTIONS] CONTAINER:SOURCE TARGET|-\n       rctr cp [OPTIONS] SOURCE|- CONTAINER:TARGET")]
pub(crate) struct Args {
    /// Into a container: everything belongs to its user. Out of one: everything keeps its owner, and devices are copied, too
    #[arg(short, long)]
    archive: bool,
    /// Copy what the source leads to, if it is a link
    #[arg(short = 'L', long)]
    follow_link: bool,
    /// Do not say how much was copied
    #[arg(short, long)]
    quiet: bool,
    /// [CONTAINER:]PATH
    source: String,
    /// [CONTAINER:]PATH
    target: String,
}

/// Copies.
pub(crate) fn run(context: &Context, args: &Args) -> Result<i32> {
    let options = CopyOptions { archive: args.archive, follow: args.follow_link };
    let (mut input, mut output) = (io::stdin(), io::stdout());
    let from = match split(&args.source)? {
        (Some(container), path) => CopyFrom::Container(container, path),
        (None, "-") if input.is_terminal() => bail!("cp: this is a terminal: lead an archive here"),
        (None, "-") => CopyFrom::Archive(&mut input),
        (None, path) => CopyFrom::Host(path),
    };
    let to = match split(&args.target)? {
        (Some(container), path) => CopyTo::Container(container, path),
        (None, "-") if output.is_terminal() => bail!("cp: this is a terminal: lead the archive elsewhere"),
        (None, "-") => CopyTo::Archive(&mut output),
        (None, path) => CopyTo::Host(path),
    };
    if !matches!(from, CopyFrom::Container(..)) && !matches!(to, CopyTo::Container(..)) {
        bail!("cp: neither {:?} nor {:?} is in a container: the form is CONTAINER:PATH", args.source, args.target);
    }
    let told = !args.quiet && io::stdout().is_terminal() && !matches!(to, CopyTo::Archive(_));
    let bytes = context.engine()?.copy(from, to, options)?;
    if told {
        eprintln!("Successfully copied {} to {}", amount::size(bytes), args.target);
    }
    Ok(0)
}

/// A container and a path in it, or a path of the host: what begins with a slash or a dot is always one.
fn split(text: &str) -> Result<(Option<&str>, &str)> {
    match text.split_once(':') {
        _ if text.is_empty() => bail!("cp: an empty path: the form is [CONTAINER:]PATH"),
        _ if text.starts_with(['/', '.']) => Ok((None, text)),
        Some((container, path)) if container.is_empty() || path.is_empty() => {
            bail!("cp: {text:?} is not whole: the form is CONTAINER:PATH")
        }
        Some((container, path)) => Ok((Some(container), path)),
        None => Ok((None, text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colon_makes_a_container() {
        assert_eq!(split("app:/x:y").unwrap(), (Some("app"), "/x:y"));
        assert_eq!(split("app:x").unwrap(), (Some("app"), "x"));
        assert_eq!(split("./app:x").unwrap(), (None, "./app:x"));
        assert_eq!(split("/app:x").unwrap(), (None, "/app:x"));
        assert_eq!(split("file").unwrap(), (None, "file"));
        for bad in ["", ":/x", "app:"] {
            assert!(split(bad).is_err(), "{bad}");
        }
    }
}
