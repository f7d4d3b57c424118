//! `rctr unshare`.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Result, bail};

use crate::context::Context;
use crate::exit;

/// Run a command as the root of an ordinary user's containers: who owns their files, and what is mounted for them, is seen as they see it
#[derive(Debug, clap::Args)]
#[command(override_usage = "rctr unshare [OPTIONS] [COMMAND [ARG...]]")]
pub(crate) struct Args {
    /// In the network of the containers' bridges, not in the host's
    #[arg(long)]
    rootless_netns: bool,
    /// The command [default: the shell of the variable SHELL, or sh]
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    words: Vec<OsString>,
}

/// Goes on as the command, to which this command line means the same: it finds the same containers.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let Some(home) = &engine.config().home else { bail!("unshare is for users without root: root has no other users to be") };
    if args.rootless_netns {
        home.go_inside()?;
    }
    let (root, run) = (&engine.config().root, &engine.config().run);
    let shell = || vec![std::env::var_os("SHELL").filter(|shell| !shell.is_empty()).unwrap_or_else(|| "/bin/sh".into())];
    let words = if args.words.is_empty() { shell() } else { args.words };
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).env("RCTR_ROOT", root).env("RCTR_RUN", run);
    let error = command.env("CONTAINERS_GRAPHROOT", root).env("CONTAINERS_RUNROOT", run).exec();
    let code = if error.kind() == ErrorKind::NotFound { exit::NOT_FOUND } else { exit::NOT_EXECUTABLE };
    exit::report(&anyhow::Error::new(error).context(format!("execute {}", words[0].display())));
    Ok(code)
}
