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
    /// Replace the image's entrypoint: a program, or a list in JSON of it and its arguments; an empty one clears it
    #[arg(long, value_name = "PROGRAM", value_parser = entrypoint)]
    entrypoint: Option<Entrypoint>,
    /// Set a variable: KEY=VALUE, or KEY for the caller's value
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    env: Vec<String>,
    /// Read variables from a file, one per line
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Set a variable, in whose value those of the image may be named: KEY=VALUE, such as PATH=/own/bin:${PATH}
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse::merged_variable)]
    env_merge: Vec<String>,
    /// Give it all variables of the caller that the image does not set
    #[arg(long)]
    env_host: bool,
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

/// The words of an entrypoint.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entrypoint(Vec<String>);

/// A list is one as Podman reads it; what begins like one and is none is a program's name.
fn entrypoint(text: &str) -> Result<Entrypoint, std::convert::Infallible> {
    let one = || if text.is_empty() { Vec::new() } else { vec![text.to_owned()] };
    Ok(Entrypoint(serde_json::from_str(text).unwrap_or_else(|_| one())))
}

impl Args {
    pub(super) fn apply(self, request: &mut CreateRequest) -> Result<()> {
        request.stdin = self.interactive;
        request.tty = self.tty;
        request.entrypoint = self.entrypoint.map(|Entrypoint(words)| words);
        if self.env_host {
            request.env_below = parse::callers(std::env::vars_os());
        }
        request.env_merge = self.env_merge;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entrypoint_is_a_program_or_a_list() {
        let words = |text: &str| entrypoint(text).unwrap().0;
        assert_eq!((words("sh"), words(r#"["sh", "-c"]"#)), (vec!["sh".to_owned()], vec!["sh".to_owned(), "-c".to_owned()]));
        assert_eq!((words(""), words("[odd"), words("7")), (vec![], vec!["[odd".to_owned()], vec!["7".to_owned()]));
    }
}
