//! `rctr create`, and the flags that `run` shares with it: one file for each part of a container, which knows its flags and writes what
//! they say into the request.

mod entries;
mod isolation;
mod life;
pub(crate) mod limits;
mod mounts;
pub(crate) mod names;
mod network;
mod process;
mod security;
mod users;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use engine::{CreateRequest, Engine, Record};

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
    /// Remove it, with its files, when it has ended
    #[arg(long)]
    pub(crate) rm: bool,
    /// Its name
    #[arg(long, value_parser = parse::container_name)]
    name: Option<String>,
    /// Remove the container that has this name, whether it runs or not
    #[arg(long, requires = "name")]
    replace: bool,
    /// Add a label: KEY=VALUE
    #[arg(short, long, value_name = "KEY[=VALUE]", value_parser = parse::label)]
    label: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) process: process::Args,
    #[command(flatten)]
    pub(crate) network: network::Args,
    #[command(flatten)]
    pub(crate) names: names::Args,
    #[command(flatten)]
    pub(crate) mounts: mounts::Args,
    #[command(flatten)]
    pub(crate) limits: limits::Args,
    #[command(flatten)]
    pub(crate) security: security::Args,
    #[command(flatten)]
    pub(crate) life: life::Args,
    #[command(flatten)]
    pub(crate) isolation: isolation::Args,
    #[command(flatten)]
    pub(crate) users: users::Args,
    #[command(flatten)]
    pub(crate) entries: entries::Args,
    /// IMAGE is a folder of the host with a root file system, which the container writes into; FOLDER:O leaves it as it is
    #[arg(long, conflicts_with_all = ["pull", "platform"])]
    rootfs: bool,
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
        let replaced = args.name.clone().filter(|_| args.replace);
        let id_file = args.cidfile.as_deref().map(claim).transpose()?;
        let image = match args.rootfs {
            true => Ok(engine::no_image()),
            false => pull::present(context, engine, &args.args[0], args.pull, args.platform.clone(), args.quiet),
        };
        let mounted = |image| {
            let mut mounted = args.mounted_images();
            mounted.try_for_each(|name| pull::present(context, engine, name, args.pull, None, args.quiet).map(drop)).map(|()| image)
        };
        match image.and_then(mounted).and_then(|image| Ok((image, request(engine, args)?))) {
            Ok((image, request)) => {
                // Once nothing is known to be wrong with the new one.
                match replaced.map(|name| engine.remove(&name, true, false)) {
                    Some(Err(error)) if !matches!(error, engine::Error::NoSuchContainer(_)) => return Err(error.into()),
                    _ => {}
                }
                Ok(Making { request, image, id_file })
            }
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
    let file = fs::File::create_new(path).with_context(|| format!("--cidfile: make the id file {}", path.display()))?;
    Ok((file, path.to_owned()))
}

impl CreateArgs {
    /// The images that are mounted.
    pub(crate) fn mounted_images(&self) -> impl Iterator<Item = &str> {
        self.mounts.images()
    }
}

/// What the flags ask for.
pub(crate) fn request(engine: &Engine, args: CreateArgs) -> Result<CreateRequest> {
    let rootfs = args.rootfs.then(|| parse::rootfs(&args.args[0])).transpose()?;
    let mut words = args.args.into_iter();
    let mut request = CreateRequest {
        name: args.name,
        image: words.next().unwrap_or_default(),
        cmd: words.collect(),
        labels: args.label.into_iter().collect(),
        remove: args.rm,
        rootfs,
        ..CreateRequest::default()
    };
    args.process.apply(&mut request)?;
    args.network.apply(engine, &mut request)?;
    args.names.apply(&mut request)?;
    args.mounts.apply(&mut request);
    args.limits.apply(&mut request);
    args.life.apply(&mut request);
    args.isolation.apply(&mut request)?;
    args.entries.apply(engine, args.users.wish(), &mut request)?;
    args.users.apply(engine, &mut request)?;
    args.security.apply(&mut request)?;
    Ok(request)
}
