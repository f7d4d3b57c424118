//! Which layers a build leaves, and what it remembers.

use anyhow::{Result, bail};
use engine::build::Squash;

use super::cache;

#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Put the layers that this build makes together into one
    #[arg(long, conflicts_with = "squash_all")]
    squash: bool,
    /// Put all layers together into one, those of the image that it begins with too
    #[arg(long)]
    squash_all: bool,
    /// Keep each step and its layer for later builds; with false one layer is made, and nothing is used or kept of steps
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true",
          action = clap::ArgAction::Set)]
    layers: bool,
}

impl Args {
    /// Which layers become one.
    pub(super) fn squash(&self) -> Squash {
        match self {
            Args { squash_all: true, .. } => Squash::All,
            Args { squash: true, .. } | Args { layers: false, .. } => Squash::New,
            _ => Squash::Nothing,
        }
    }

    /// Nothing of steps is used or kept.
    pub(super) fn is_forgetful(&self) -> bool {
        !self.layers
    }

    /// What cannot be had together with caches elsewhere.
    ///
    /// # Errors
    /// Steps are to be remembered whose layers there will not be.
    pub(super) fn check(&self, caches: &cache::Args) -> Result<()> {
        if self.is_forgetful() && caches.is_any() {
            bail!("--layers=false: nothing is used or kept of steps, so there is nothing for --cache-from and --cache-to");
        }
        if self.squash() != Squash::Nothing && caches.is_inline() {
            bail!(
                "--cache-to type=inline: an image whose layers are put together has none of its steps; use type=registry or type=local"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        own: Args,
        #[command(flatten)]
        caches: cache::Args,
    }

    fn of(flags: &[&str]) -> Result<(Squash, bool)> {
        let Line { own, caches } = Line::try_parse_from(["x"].iter().chain(flags))?;
        own.check(&caches)?;
        Ok((own.squash(), own.is_forgetful()))
    }

    #[test]
    fn flags_say_what_becomes_one() {
        for (flags, expected) in [
            (&[][..], (Squash::Nothing, false)),
            (&["--layers"], (Squash::Nothing, false)),
            (&["--layers=false"], (Squash::New, true)),
            (&["--squash"], (Squash::New, false)),
            (&["--squash", "--layers=false"], (Squash::New, true)),
            (&["--squash-all", "--layers=true"], (Squash::All, false)),
            (&["--squash-all", "--layers=false"], (Squash::All, true)),
            (&["--squash", "--cache-to", "type=local,dest=/x"], (Squash::New, false)),
        ] {
            assert_eq!(of(flags).unwrap(), expected, "{flags:?}");
        }
        for (flags, why) in [
            (&["--squash", "--squash-all"][..], "cannot be used with"),
            (&["--layers=maybe"], "maybe"),
            (&["--layers=false", "--cache-from", "a"], "--cache-from"),
            (&["--layers=false", "--cache-to", "type=local,dest=/x"], "--cache-to"),
            (&["--squash-all", "--cache-to", "type=inline"], "type=inline"),
        ] {
            assert!(of(flags).unwrap_err().to_string().contains(why), "{flags:?}");
        }
    }
}
