//! The list of verbs.

mod near;
mod switches;

use std::borrow::Cow;
use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::context::Context;
use crate::contexts::{self, Contexts};
use crate::remote::Host;
use crate::rootless;
use crate::verbs::{
    attach, boot, build, builder, check, commit, completion, container_prune, copy, cp, create, diff, events, exec, exists, export,
    history, images, import, info, inspect, kill, load, login, logout, logs, man, management, manifest, mount, network, oci, pause,
    port, prune, ps, pull, push, quadlet, registry, rename, restart, rm, rmi, run, save, scp, search, secret, start, stats, stop,
    sync, system, tag, top, unmount, unshare, update, version, volume, wait,
};

pub(crate) use switches::truth;

/// Containers on this host, without a daemon.
#[derive(Debug, Parser)]
#[command(name = "rctr", version, subcommand_required = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// Where state is kept.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Global {
    /// Images and containers
    #[arg(long, env = "RCTR_ROOT", default_value = "/var/lib/rctr", value_name = "DIR", hide_env_values = true)]
    pub(crate) root: PathBuf,
    /// Sockets and leases of what runs
    #[arg(long, env = "RCTR_RUN", default_value = "/run/rctr", value_name = "DIR", hide_env_values = true)]
    pub(crate) run: PathBuf,
    /// The default bridge
    #[arg(long, env = "RCTR_BRIDGE", default_value = "rctr0", value_name = "NAME", hide_env_values = true)]
    pub(crate) bridge: String,
    /// Parent of the containers' cgroups
    #[arg(long, env = "RCTR_CGROUP_PARENT", default_value = "/rctr", value_name = "PATH", hide_env_values = true)]
    pub(crate) cgroup_parent: String,
    /// Run this command line on another host, by the rctr there: ssh://[USER@]HOST[:PORT]. Files that it names are that host's
    #[arg(short = 'H', long, env = "RCTR_HOST", value_name = "HOST", hide_env_values = true)]
    pub(crate) host: Option<Host>,
    /// The same on the host of this name: see rctr context
    #[arg(short = 'c', long, value_name = "CONTEXT")]
    pub(crate) context: Option<String>,
    /// Keep the compressed layers of images that are pulled, so that push and save need not fetch them again
    #[arg(long, env = "RCTR_KEEP_BLOBS", hide_env_values = true)]
    pub(crate) keep_blobs: bool,
    /// How new layers are kept: erofs, tree, or auto [default: as /etc/rctr/config.toml says, or auto]
    #[arg(long, value_name = "DRIVER")]
    pub(crate) storage_driver: Option<::images::Driver>,
    #[arg(skip)]
    pub(crate) usual: Usual,
}

/// Which of these nobody has chosen: an ordinary user has other ones.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usual {
    pub(crate) root: bool,
    pub(crate) run: bool,
    pub(crate) cgroup: bool,
}

/// Only the arguments of the verb that is called are defined, unless help is asked for: all of them take as long as a tenth of a
/// container's start. (So it is with the verbs below another one: what is deferred here does not reach them.)
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Verb {
    Run(Box<run::Args>),
    Create(Box<create::Args>),
    Start(start::Args),
    Stop(stop::Args),
    Kill(kill::Args),
    Rm(rm::Args),
    Ps(ps::Args),
    Logs(logs::Args),
    Exec(exec::Args),
    Wait(wait::Args),
    Attach(attach::Args),
    Top(top::Args),
    Stats(stats::Args),
    Port(port::Args),
    Rename(rename::Args),
    Restart(restart::Args),
    Pause(pause::Args),
    Unpause(pause::Unpause),
    Update(update::Args),
    Events(events::Args),
    Boot(boot::Args),
    Inspect(inspect::Args),
    Pull(pull::Args),
    Push(push::Args),
    Copy(copy::Args),
    Cp(cp::Args),
    Commit(commit::Args),
    Diff(diff::Args),
    Export(export::Args),
    Save(save::Args),
    Load(load::Args),
    Import(import::Args),
    Images(images::Args),
    Rmi(rmi::Args),
    Tag(tag::Args),
    History(history::Args),
    #[command(subcommand)]
    Image(management::Image),
    #[command(subcommand)]
    Container(management::Container),
    /// Only below `container` and `image`
    #[command(skip)]
    Exists(exists::Kind, exists::Args),
    /// Only below `image`
    #[command(skip)]
    Prune(prune::Args),
    #[command(skip)]
    Scp(scp::Args),
    #[command(skip)]
    Check(check::Args),
    #[command(skip)]
    Sync(sync::Args),
    #[command(subcommand)]
    System(system::System),
    /// Only below `container`
    #[command(skip)]
    ContainerPrune(container_prune::Args),
    /// Only below `image`
    #[command(skip)]
    Mount(mount::Args),
    /// Only below `image`
    #[command(skip)]
    Unmount(unmount::Args),
    #[command(subcommand)]
    Network(network::Network),
    #[command(subcommand)]
    Manifest(manifest::Manifest),
    Build(Box<build::Args>),
    #[command(subcommand)]
    Buildx(management::Buildx),
    #[command(subcommand)]
    Builder(builder::Builder),
    #[command(subcommand)]
    Registry(registry::Registry),
    #[command(subcommand)]
    Volume(volume::Verb),
    #[command(subcommand)]
    Secret(secret::Verb),
    Search(search::Args),
    Login(login::Args),
    Logout(logout::Args),
    Oci(oci::Args),
    Unshare(unshare::Args),
    Info(info::Args),
    Version(version::Args),
    Completion(completion::Args),
    #[command(subcommand)]
    Context(crate::verbs::context::Verb),
    Quadlet(quadlet::Args),
    #[command(hide = true)]
    Man(man::Args),
}

impl Cli {
    /// Reads the command line.
    ///
    /// # Errors
    /// It asks for help, or makes no sense.
    pub(crate) fn read(args: &[OsString]) -> std::result::Result<Cli, clap::Error> {
        // Never dropped: it holds some hundred definitions, and the process is about to do its work and end.
        let command = Box::leak(Box::new(Cli::command()));
        // The list of verbs needs what is deferred: a line of each.
        let mut built = args.len() < 2 || args.iter().any(|arg| ["help", "--help", "-h"].iter().any(|help| arg == help));
        if built {
            command.build();
        }
        let mut args = Cow::Borrowed(args);
        let matches = loop {
            let error = match command.try_get_matches_from_mut(args.iter()) {
                Ok(matches) => break matches,
                Err(error) => error,
            };
            // So does that of a verb that has verbs of its own, when none of them is given.
            if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand && !built {
                command.build();
                built = true;
            } else if let Some(settled) = switches::settled(&error, &args) {
                args = Cow::Owned(settled);
            } else {
                return Err(near::hinted(error, command, &args));
            }
        };
        let mut cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(command))?;
        if cli.global.context.is_some() {
            if matches.value_source("host") == Some(ValueSource::CommandLine) {
                return Err(command.error(ErrorKind::ArgumentConflict, "--host and --context both say where"));
            }
            // What is typed comes before what is set.
            cli.global.host = None;
        }
        let usual = |id: &str| matches.value_source(id) == Some(ValueSource::DefaultValue);
        cli.global.usual = Usual { root: usual("root"), run: usual("run"), cgroup: usual("cgroup_parent") };
        Ok(cli)
    }

    /// The other host that it is for, if it is. Contexts, and what writes files of this host, are of this one.
    ///
    /// # Errors
    /// There is no such context, or it cannot be reached.
    pub(crate) fn elsewhere(&self) -> Result<Option<Host>> {
        let host = match &self.global.host {
            Some(host) if !host.name.is_empty() => host.clone(),
            _ if matches!(self.verb, Verb::Context(_) | Verb::Completion(_) | Verb::Man(_) | Verb::Quadlet(_)) => {
                return Ok(None);
            }
            _ => {
                let contexts = Contexts::of_caller();
                let name = contexts.current(self.global.context.as_deref())?;
                if name == contexts::DEFAULT {
                    return Ok(None);
                }
                contexts.find(&name)?.host()?
            }
        };
        Ok(Some(host).filter(|host| !host.name.is_empty()))
    }

    /// Enters the home of a user who is not root, for a verb that needs one. There must be one thread.
    ///
    /// # Errors
    /// It cannot be made or entered.
    pub(crate) fn enter_home(&mut self) -> Result<()> {
        let homeless = matches!(
            self.verb,
            Verb::Completion(_) | Verb::Man(_) | Verb::Quadlet(_) | Verb::Context(_) | Verb::Version(_) | Verb::Oci(_)
        );
        if homeless || !rootless::is_wanted() {
            return Ok(());
        }
        let (root, run) = rootless::default_places()?;
        let Global { usual, .. } = self.global;
        if usual.root {
            self.global.root = root;
        }
        if usual.run {
            self.global.run = run;
        }
        rootless::enter(&self.global.run)
    }

    /// Runs the verb and returns the exit code.
    pub(crate) fn run(self) -> Result<i32> {
        self.verb.run(&Context::new(self.global))
    }
}

impl Verb {
    fn run(self, context: &Context) -> Result<i32> {
        match self {
            Verb::Run(args) => run::run(context, *args),
            Verb::Create(args) => create::run(context, *args),
            Verb::Start(args) => start::run(context, args),
            Verb::Stop(args) => stop::run(context, args),
            Verb::Kill(args) => kill::run(context, args),
            Verb::Rm(args) => rm::run(context, args),
            Verb::Ps(args) => ps::run(context, args),
            Verb::Logs(args) => logs::run(context, args),
            Verb::Exec(args) => exec::run(context, args),
            Verb::Wait(args) => wait::run(context, args),
            Verb::Attach(args) => attach::run(context, args),
            Verb::Top(args) => top::run(context, args),
            Verb::Stats(args) => stats::run(context, args),
            Verb::Port(args) => port::run(context, args),
            Verb::Rename(args) => rename::run(context, args),
            Verb::Restart(args) => restart::run(context, args),
            Verb::Pause(args) => pause::run(context, args),
            Verb::Unpause(args) => pause::unpause(context, args),
            Verb::Update(args) => update::run(context, args),
            Verb::Events(args) => events::run(context, args),
            Verb::Boot(args) => boot::run(context, args),
            Verb::ContainerPrune(args) => container_prune::run(context, args),
            Verb::Inspect(args) => inspect::run(context, args),
            Verb::Pull(args) => pull::run(context, args),
            Verb::Push(args) => push::run(context, args),
            Verb::Copy(args) => copy::run(context, args),
            Verb::Cp(args) => cp::run(context, &args),
            Verb::Commit(args) => commit::run(context, args),
            Verb::Diff(args) => diff::run(context, &args),
            Verb::Export(args) => export::run(context, &args),
            Verb::Save(args) => save::run(context, args),
            Verb::Scp(args) => scp::run(context, args),
            Verb::Load(args) => load::run(context, args),
            Verb::Import(args) => import::run(context, args),
            Verb::Images(args) => images::run(context, args),
            Verb::Rmi(args) => rmi::run(context, args),
            Verb::Tag(args) => tag::run(context, args),
            Verb::History(args) => history::run(context, args),
            Verb::Exists(kind, args) => exists::run(&context.engine()?, kind, &args),
            Verb::Prune(args) => prune::run(context, args),
            Verb::Mount(args) => mount::run(context, args),
            Verb::Unmount(args) => unmount::run(context, args),
            Verb::Check(args) => check::run(context, args),
            Verb::Sync(args) => sync::run(context, args),
            Verb::System(verb) => system::run(context, verb),
            Verb::Image(verb) => Verb::from(verb).run(context),
            Verb::Container(verb) => Verb::from(verb).run(context),
            Verb::Network(verb) => network::run(context, verb),
            Verb::Manifest(verb) => manifest::run(context, verb),
            Verb::Build(args) => build::run(context, *args),
            Verb::Buildx(verb) => Verb::from(verb).run(context),
            Verb::Builder(verb) => builder::run(context, verb),
            Verb::Registry(verb) => registry::run(context, verb),
            Verb::Volume(verb) => volume::run(context, verb),
            Verb::Secret(verb) => secret::run(context, verb),
            Verb::Search(args) => search::run(context, args),
            Verb::Login(args) => login::run(context, args),
            Verb::Logout(args) => logout::run(context, args),
            Verb::Oci(args) => oci::run(args),
            Verb::Unshare(args) => unshare::run(context, args),
            Verb::Info(args) => info::run(context, args),
            Verb::Version(args) => version::run(context, args),
            Verb::Completion(args) => completion::run(args),
            Verb::Context(verb) => crate::verbs::context::run(context.named(), verb),
            Verb::Quadlet(args) => quadlet::run(args),
            Verb::Man(args) => man::run(args),
        }
    }
}

#[cfg(test)]
mod nonsense;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_argument_is_defined_before_its_verb_is_called() {
        fn defined(command: &clap::Command) -> Vec<String> {
            let arguments = |verb: &clap::Command| {
                verb.get_arguments().map(|arg| format!("{} {}", verb.get_name(), arg.get_id())).collect::<Vec<_>>()
            };
            command.get_subcommands().flat_map(|verb| [arguments(verb), defined(verb)].concat()).collect()
        }
        assert_eq!(defined(&Cli::command()), [] as [&str; 0]);
    }

    #[test]
    fn a_verb_alone_lists_the_verbs_below_it() {
        let listed = Cli::read(&["rctr", "image"].map(Into::into)).unwrap_err().to_string();
        assert!(listed.contains("Pull an image from its registry"), "{listed}");
    }

    #[test]
    fn what_follows_the_image_belongs_to_the_command() {
        let parsed = Cli::try_parse_from(["rctr", "run", "-d", "--name", "a", "busybox", "ls", "-l", "--name", "x"]).unwrap();
        let Verb::Run(args) = parsed.verb else { panic!("not run") };
        assert_eq!(args.create.args, ["busybox", "ls", "-l", "--name", "x"]);
        let parsed = Cli::try_parse_from(["rctr", "run", "busybox", "-l"]).unwrap();
        let Verb::Run(args) = parsed.verb else { panic!("not run") };
        assert_eq!(args.create.args, ["busybox", "-l"]);
        assert!(Cli::try_parse_from(["rctr", "run", "--nme", "a", "busybox"]).is_err());
        assert!(Cli::try_parse_from(["rctr", "run"]).is_err());
    }

    #[test]
    fn management_commands_are_the_same_verbs() {
        let verb = |words: &[&str]| match Cli::try_parse_from(words).unwrap().verb {
            Verb::Image(verb) => Verb::from(verb),
            Verb::Container(verb) => Verb::from(verb),
            verb => verb,
        };
        for (long, short) in [
            (&["rctr", "image", "ls", "-q"][..], &["rctr", "images", "-q"][..]),
            (&["rctr", "image", "rm", "-f", "x"], &["rctr", "rmi", "-f", "x"]),
            (&["rctr", "image", "inspect", "x"], &["rctr", "inspect", "--type", "image", "x"]),
            (&["rctr", "image", "pull", "x"], &["rctr", "pull", "x"]),
            (&["rctr", "image", "push", "x"], &["rctr", "push", "x"]),
            (&["rctr", "image", "tag", "x", "y"], &["rctr", "tag", "x", "y"]),
            (&["rctr", "image", "history", "x"], &["rctr", "history", "x"]),
            (&["rctr", "container", "ls", "-a"], &["rctr", "ps", "-a"]),
            (&["rctr", "container", "inspect", "x"], &["rctr", "inspect", "--type", "container", "x"]),
            (&["rctr", "container", "run", "x", "-l"], &["rctr", "run", "x", "-l"]),
        ] {
            assert_eq!(format!("{:?}", verb(long)), format!("{:?}", verb(short)));
        }
        assert!(Cli::try_parse_from(["rctr", "prune"]).is_err());
    }
}
