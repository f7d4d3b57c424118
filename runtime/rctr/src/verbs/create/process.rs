//! What runs in the container, and as whom.

use std::path::PathBuf;

use anyhow::Result;
use engine::CreateRequest;

use crate::parse;

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Keep standard input open
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// Give it a terminal
    #[arg(short, long)]
    pub(crate) tty: bool,
    /// Replace the image's entrypoint; an empty one clears it
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,
    /// Set a variable: KEY=VALUE, or KEY for the caller's value
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    env: Vec<String>,
    /// Read variables from a file, one per line
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Leave a variable of the image out
    #[arg(long, value_name = "KEY", value_parser = parse::variable)]
    unsetenv: Vec<String>,
    /// Working folder
    #[arg(short, long, value_name = "DIR", value_parser = parse::workdir)]
    workdir: Option<String>,
    /// Permissions that files do not get which it makes: an octal number, such as 0027
    #[arg(long, value_name = "MASK", value_parser = parse::umask)]
    umask: Option<u32>,
    /// Time zone: a name in the host's /usr/share/zoneinfo, such as Europe/Berlin, or local for the host's own
    #[arg(long, value_name = "ZONE", value_parser = parse::timezone)]
    tz: Option<PathBuf>,
    /// User and group, by name or number: USER[:GROUP]
    #[arg(short, long, value_parser = parse::user)]
    user: Option<String>,
    /// Signal that asks it to end
    #[arg(long, value_name = "SIGNAL", value_parser = parse::signal)]
    stop_signal: Option<i32>,
}

impl Args {
    pub(super) fn apply(self, request: &mut CreateRequest) -> Result<()> {
        request.stdin = self.interactive;
        request.tty = self.tty;
        request.entrypoint = self.entrypoint.map(|program| if program.is_empty() { Vec::new() } else { vec![program] });
        // What is set here stays.
        request.env = self.unsetenv;
        request.env.extend(parse::environment(&self.env_file, &self.env, |key| std::env::var(key).ok())?);
        request.workdir = self.workdir;
        request.user = self.user;
        request.stop_signal = self.stop_signal;
        (request.tuning.umask, request.tuning.timezone) = (self.umask, self.tz);
        Ok(())
    }
}
