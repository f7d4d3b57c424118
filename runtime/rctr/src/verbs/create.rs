//! `rctr create`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use engine::{Bind, CreateRequest, Engine, NetworkMode, Port, Record, Resources, Security};

use crate::context::Context;
use crate::parse;
use crate::verbs::pull;

/// Create a container and do not start it
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true, override_usage = "rctr create [OPTIONS] IMAGE [COMMAND] [ARG...]")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) create: CreateArgs,
}

/// What `create` and `run` have in common.
#[derive(Debug, clap::Args)]
pub(crate) struct CreateArgs {
    /// Print help
    #[arg(long, action = clap::ArgAction::HelpShort)]
    help: Option<bool>,
    /// Keep standard input open
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// Give it a terminal
    #[arg(short, long)]
    pub(crate) tty: bool,
    /// Remove it, with its files, when it has ended
    #[arg(long)]
    pub(crate) rm: bool,
    /// Its name
    #[arg(long)]
    name: Option<String>,
    /// Publish a port: [[IP:][HOST]:]CONTAINER[/tcp|/udp]
    #[arg(short, long, value_name = "PORT", value_parser = parse::ports)]
    publish: Vec<Vec<Port>>,
    /// Set a variable: KEY=VALUE, or KEY for the caller's value
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    env: Vec<String>,
    /// Read variables from a file, one per line
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Show a file or folder of the host: /HOST:/CONTAINER[:ro]
    #[arg(short, long, value_name = "BIND", value_parser = parse::bind)]
    volume: Vec<Bind>,
    /// Working folder
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// User and group, by name or number: USER[:GROUP]
    #[arg(short, long)]
    user: Option<String>,
    /// Replace the image's entrypoint; an empty one clears it
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,
    /// Host name
    #[arg(short = 'h', long, value_name = "NAME")]
    hostname: Option<String>,
    /// bridge, host or none
    #[arg(long, visible_alias = "net", value_name = "NETWORK", default_value = "bridge", value_parser = network)]
    network: NetworkMode,
    /// Limit of memory, such as 512m
    #[arg(short, long, value_name = "BYTES", value_parser = parse::bytes)]
    memory: Option<i64>,
    /// Limit of CPUs, such as 1.5
    #[arg(long, value_name = "NUMBER", value_parser = parse::cpus)]
    cpus: Option<u64>,
    /// Weight for CPU time beside other containers; the usual one is 1024
    #[arg(short, long, value_name = "WEIGHT", value_parser = clap::value_parser!(u64).range(0..=262_144))]
    cpu_shares: Option<u64>,
    /// Limit of processes and threads; -1 is none
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1..))]
    pids_limit: Option<i64>,
    /// Add a capability, such as NET_ADMIN or ALL
    #[arg(long, value_name = "CAPABILITY", value_delimiter = ',')]
    cap_add: Vec<String>,
    /// Drop a capability
    #[arg(long, value_name = "CAPABILITY", value_delimiter = ',')]
    cap_drop: Vec<String>,
    /// Give it all capabilities and devices, and no filter
    #[arg(long)]
    privileged: bool,
    /// no-new-privileges, or seccomp=unconfined
    #[arg(long, value_name = "OPTION")]
    security_opt: Vec<String>,
    /// Make its root file system read-only
    #[arg(long)]
    read_only: bool,
    /// Add a label: KEY=VALUE
    #[arg(short, long, value_name = "KEY[=VALUE]", value_parser = parse::label)]
    label: Vec<(String, String)>,
    /// Signal that asks it to end
    #[arg(long, value_name = "SIGNAL", value_parser = signal)]
    stop_signal: Option<i32>,
    /// When to pull the image
    #[arg(long, value_enum, default_value_t)]
    pull: pull::When,
    /// Choose among an image's platforms: OS/ARCHITECTURE[/VARIANT]
    #[arg(long)]
    platform: Option<images::Platform>,
    /// Write the container's id to a file that does not exist yet
    #[arg(long, value_name = "FILE")]
    cidfile: Option<PathBuf>,
    /// Print no progress of a pull
    #[arg(short, long)]
    quiet: bool,
    /// The image, then the command that replaces its own
    #[arg(required = true, trailing_var_arg = true, value_names = ["IMAGE", "COMMAND"])]
    pub(crate) args: Vec<String>,
}

/// Creates the container and prints its id.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let record = Making::new(context, &engine, args.create)?.create(|request, image| Ok(engine.create(request, image)?))?;
    println!("{}", record.id);
    Ok(0)
}

/// All that `create` makes a container of, the image here.
pub(crate) struct Making {
    pub(crate) request: CreateRequest,
    image: images::Image,
    id_file: Option<(fs::File, PathBuf)>,
}

impl Making {
    /// Reads what was asked for, and pulls the image if it must.
    pub(crate) fn new(context: &Context, engine: &Engine, args: CreateArgs) -> Result<Making> {
        let id_file = args.cidfile.as_deref().map(claim).transpose()?;
        let image = pull::present(context, engine, &args.args[0], args.pull, args.platform.clone(), args.quiet);
        match image.and_then(|image| Ok((image, request(args)?))) {
            Ok((image, request)) => Ok(Making { request, image, id_file }),
            Err(error) => {
                drop(id_file.map(|(_, path)| fs::remove_file(path)));
                Err(error)
            }
        }
    }

    /// Makes it with `create`, and writes its id down.
    pub(crate) fn create(self, create: impl FnOnce(&CreateRequest, &images::Image) -> Result<Record>) -> Result<Record> {
        let made = create(&self.request, &self.image);
        match (&made, self.id_file) {
            (Ok(record), Some((mut file, path))) => {
                file.write_all(record.id.as_bytes()).with_context(|| format!("write the id to {}", path.display()))?;
            }
            (Err(_), Some((_, path))) => drop(fs::remove_file(path)),
            _ => {}
        }
        made
    }
}

/// Takes the file for the id before anything is made, so that two containers never share one.
fn claim(path: &Path) -> Result<(fs::File, PathBuf)> {
    let file = fs::File::create_new(path).with_context(|| format!("make the id file {}", path.display()))?;
    Ok((file, path.to_owned()))
}

fn request(args: CreateArgs) -> Result<CreateRequest> {
    let mut words = args.args.into_iter();
    let image = words.next().unwrap_or_default();
    let mut security = Security {
        cap_add: args.cap_add,
        cap_drop: args.cap_drop,
        privileged: args.privileged,
        readonly_rootfs: args.read_only,
        ..Security::default()
    };
    for option in &args.security_opt {
        security_option(option, &mut security)?;
    }
    Ok(CreateRequest {
        name: args.name,
        image,
        entrypoint: args.entrypoint.map(|program| if program.is_empty() { Vec::new() } else { vec![program] }),
        cmd: words.collect(),
        env: parse::environment(&args.env_file, &args.env, |key| std::env::var(key).ok())?,
        workdir: args.workdir,
        user: args.user,
        hostname: args.hostname,
        tty: args.tty,
        stdin: args.interactive,
        labels: args.label.into_iter().collect(),
        binds: args.volume,
        network: published(args.network, !args.publish.is_empty())?,
        ports: args.publish.into_iter().flatten().collect(),
        resources: Resources { memory: args.memory, nano_cpus: args.cpus, cpu_shares: args.cpu_shares, pids: args.pids_limit },
        security,
        remove: args.rm,
        stop_signal: args.stop_signal,
    })
}

fn published(network: NetworkMode, ports: bool) -> Result<NetworkMode> {
    if ports && network == NetworkMode::None {
        bail!("-p needs a network: it cannot go with --network none");
    }
    if ports && network == NetworkMode::Host {
        eprintln!("rctr: published ports are discarded with --network host: the container listens on the host itself");
    }
    Ok(network)
}

fn security_option(option: &str, security: &mut Security) -> Result<()> {
    match option.replacen(':', "=", 1).as_str() {
        "no-new-privileges" | "no-new-privileges=true" => security.no_new_privileges = true,
        "no-new-privileges=false" => security.no_new_privileges = false,
        "seccomp=unconfined" => security.seccomp_unconfined = true,
        _ => bail!("--security-opt {option:?}: only no-new-privileges and seccomp=unconfined are supported"),
    }
    Ok(())
}

fn network(text: &str) -> Result<NetworkMode, String> {
    match text {
        "bridge" | "default" => Ok(NetworkMode::Bridge),
        "host" => Ok(NetworkMode::Host),
        "none" => Ok(NetworkMode::None),
        _ => Err(format!("no network {text:?}: there are bridge, host and none")),
    }
}

pub(crate) fn signal(text: &str) -> Result<i32, String> {
    engine::parse_signal(text).map_err(|error| error.to_string())
}
