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
    #[arg(long, value_name = "KEY", value_parser = unset)]
    unsetenv: Vec<String>,
    /// Working folder
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// User and group, by name or number: USER[:GROUP]
    #[arg(short, long)]
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
        Ok(())
    }
}

fn unset(key: &str) -> Result<String, String> {
    match key.is_empty() || key.contains('=') {
        true => Err(format!("{key:?} is no name of a variable")),
        false => Ok(key.to_owned()),
    }
}
