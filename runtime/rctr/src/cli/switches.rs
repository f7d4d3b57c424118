//! `--rm=true`, `--rm=false`: a flag without a value that is given one all the same, as Docker's and Podman's command lines take it.
//!
//! They are rare, so they are looked for only when the command line makes no sense as it is.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// The command line with the flag that an error is about as it is without a value: there, or not.
pub(super) fn settled(error: &clap::Error, args: &[OsString]) -> Option<Vec<OsString>> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let (flag, value) = match error.kind() {
        ErrorKind::TooManyValues => (text(ContextKind::InvalidArg)?, text(ContextKind::InvalidValue)?),
        _ => return None,
    };
    let wanted = truth(value)?;
    let word = format!("{flag}={value}");
    // What follows the flags, such as a container's own command, is behind it.
    let at = args.iter().position(|arg| *arg == *word)?;
    let mut args = args.to_vec();
    match wanted {
        true => args[at] = flag.into(),
        false => drop(args.remove(at)),
    }
    Some(args)
}

/// As Go reads it (`strconv.ParseBool`).
pub(crate) fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Cli;
    use super::*;

    fn read(words: &[&str]) -> Result<String, String> {
        let args: Vec<OsString> = std::iter::once(&"rctr").chain(words).map(Into::into).collect();
        Cli::read(&args).map(|cli| format!("{:?}", cli.verb)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_switch_may_say_whether_it_is_on() {
        for (with, without) in [
            (&["run", "--rm=true", "-d", "x"][..], &["run", "--rm", "-d", "x"][..]),
            (&["run", "--rm=false", "--detach=T", "--init=0", "x"], &["run", "-d", "x"]),
            (&["run", "--tty=1", "x", "--tty=0"], &["run", "-t", "x", "--tty=0"]),
            (&["ps", "--all=False", "--quiet=TRUE"], &["ps", "-q"]),
            (&["image", "prune", "--force=true"], &["image", "prune", "-f"]),
            (&["build", "--squash=false", "--no-cache=true", "."], &["build", "--no-cache", "."]),
            (&["--keep-blobs=false", "ps"], &["ps"]),
        ] {
            assert_eq!(read(with), read(without), "{with:?}");
            assert!(read(with).is_ok(), "{with:?}: {:?}", read(with));
        }
        for (words, why) in [
            (&["run", "--rm=maybe", "x"][..], "'maybe' for '--rm'"),
            (&["run", "--rm=", "x"], "'--rm'"),
            (&["run", "--rm=true", "--nme", "x"], "--nme"),
        ] {
            assert!(read(words).is_err_and(|error| error.contains(why)), "{words:?}: {:?}", read(words));
        }
    }
}
