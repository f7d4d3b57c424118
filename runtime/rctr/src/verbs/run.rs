//! `rctr run`.

use std::path::PathBuf;
use std::{fs, io};

use anyhow::{Context as _, Result};
use engine::{Ahead, Attach, Engine, StartOptions, Status};

use crate::context::Context;
use crate::detach::{self, Keys};
use crate::notify::{Notify, Ready};
use crate::session::{self, Listening, Signals};
use crate::terminal;
use crate::verbs::create::{CreateArgs, Making};

/// Create a container and start it
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true, override_usage = "rctr run [OPTIONS] IMAGE [COMMAND] [ARG...]")]
pub(crate) struct Args {
    /// Leave it in the background and print its id
    #[arg(short, long)]
    detach: bool,
    /// Pass signals on to it
    #[arg(long = "sig-proxy", value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    sig_proxy: bool,
    /// Keys that leave a terminal and let the container go on
    #[arg(long, value_name = "KEYS", default_value = detach::DEFAULT, value_parser = detach::keys)]
    detach_keys: Keys,
    /// Write the number of its first process to a file
    #[arg(long, value_name = "FILE")]
    pidfile: Option<PathBuf>,
    /// Where its cgroup is: enabled is below that of all containers; split is in that of this command, and the monitor's, too
    #[arg(long, value_enum, default_value_t, value_name = "WHERE", conflicts_with = "cgroup_parent")]
    cgroups: Cgroups,
    /// Tell the service manager at NOTIFY_SOCKET when it is ready, and that its monitor is the service's main process
    #[arg(long, value_enum, value_name = "WHEN", requires = "detach")]
    sdnotify: Option<Ready>,
    #[command(flatten)]
    pub(crate) create: CreateArgs,
}

/// Where the cgroup of a container is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Cgroups {
    /// Below that of all containers
    #[default]
    Enabled,
    /// In that of this command, which is a unit of systemd with Delegate=yes
    Split,
}

/// Runs a container; in the foreground its exit code is ours.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let (engine, cgroup) = match args.cgroups {
        Cgroups::Enabled => (context.engine()?, None),
        Cgroups::Split => context.engine_split().map(|(engine, cgroup)| (engine, Some(cgroup)))?,
    };
    let socket = std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty());
    let notify = match (args.sdnotify.filter(|ready| *ready != Ready::Ignore), socket) {
        (Some(ready), Some(socket)) => Some(Notify::new(&socket, ready, &context.run_folder()?)?),
        _ => None,
    };
    let (tty, interactive, remove) = (args.create.process.tty, args.create.process.interactive, args.create.rm);
    if tty && interactive && !args.detach && !rustix::termios::isatty(io::stdin()) {
        anyhow::bail!("-t with -i needs a terminal as standard input: leave -t out in a script");
    }
    let mut making = Making::new(context, &engine, args.create)?;
    if let Some(notify) = &notify {
        notify.show(&mut making.request)?;
    }
    making.request.tuning.cgroup_parent = cgroup.or(making.request.tuning.cgroup_parent);
    let options =
        StartOptions { attach: (!args.detach).then_some(Attach { stdin: interactive }), size: terminal::size(io::stdout()) };
    // Before there is a second thread, which would take signals that are meant for the container.
    let signals = if args.detach { None } else { Some(Signals::take(args.sig_proxy)?) };
    let ahead = match &notify {
        Some(_) => engine.ahead_of_service(&making.request.network)?,
        None => engine.ahead(&making.request.network)?,
    };
    let record = making.create(|request, image| Ok(engine.create_ahead(&ahead, request, image)?))?;
    let mut session = started(&engine, ahead, &record.id, remove, &options)?;
    if let Some(file) = &args.pidfile
        && let Status::Running { pid, .. } = engine.container(&record.id)?.status
    {
        fs::write(file, pid.to_string()).with_context(|| format!("--pidfile: write the process to {}", file.display()))?;
    }
    match signals {
        Some(signals) => session::follow(&mut session, &signals, Listening { input: interactive, tty, keys: args.detach_keys }),
        None => {
            println!("{}", record.id);
            if let (Some(notify), Some(monitor)) = (notify, session.monitor()) {
                notify.tell(&engine, &record.id, monitor)?;
            }
            Ok(0)
        }
    }
}

/// Starts the container. One that is to be removed does not outlive a failed start.
fn started(engine: &Engine, ahead: Ahead, id: &str, remove: bool, options: &StartOptions) -> Result<engine::Session> {
    engine.start_ahead(ahead, options).map_err(|error| {
        if remove {
            let _ = engine.remove(id, true, true);
        }
        error.into()
    })
}
