//! `rctr registry serve`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::Subcommand;
use engine::Nanos;
use images::serve::{Keep, Limits, Options, Server, Upstream};
use rustix::process::Signal;

use crate::context::{Context, absolute};
use crate::exit;
use crate::parse::{bytes, duration};

/// Serve images to others
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Registry {
    Serve(Args),
}

/// Serve a registry, until it is told to end
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Address to listen on; port 0 is any free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:5000")]
    listen: SocketAddr,
    /// Folder of the registry [default: registry below --root of rctr]
    #[arg(long = "root", value_name = "DIR", id = "registry_root")]
    root: Option<PathBuf>,
    /// Refuse pushes and deletions
    #[arg(long)]
    read_only: bool,
    /// Users and passwords, as htpasswd -B writes them
    #[arg(long, value_name = "FILE")]
    htpasswd: Option<PathBuf>,
    /// Certificate chain (PEM); without it the registry speaks plain http
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Serve the images of this registry, such as docker.io, and keep them
    #[arg(long, value_name = "HOST[:PORT]", value_parser = registry)]
    mirror: Option<String>,
    /// Keep so many bytes of that registry, such as 20g; what was asked for longest ago goes first
    #[arg(long, value_name = "SIZE", value_parser = bytes, requires = "mirror")]
    keep_size: Option<i64>,
    /// Keep for so long what nobody asks for, such as 168h
    #[arg(long, value_name = "DURATION", value_parser = duration, requires = "mirror")]
    keep_for: Option<Nanos>,
    /// Remove at the start what no manifest has named for a day
    #[arg(long)]
    prune: bool,
}

pub(crate) fn run(context: &Context, registry: Registry) -> Result<i32> {
    let Registry::Serve(args) = registry;
    // Before the first thread, which inherits it.
    let stop = sys::signal::signalfd(&[Signal::TERM.as_raw(), Signal::INT.as_raw()])?;
    let keep =
        Keep { bytes: args.keep_size.and_then(|bytes| u64::try_from(bytes).ok()), unused: args.keep_for.map(Duration::from_nanos) };
    let mirror = args.mirror.map(|registry| upstream(context, registry, keep)).transpose()?;
    let root = match args.root {
        Some(root) => absolute(&root)?,
        None => context.root()?.join("registry"),
    };
    if let Some(file) = args.htpasswd.as_deref().filter(|file| !file.is_file()) {
        anyhow::bail!("--htpasswd: there is no file {}", file.display());
    }
    let server = Server::bind(Options {
        listen: args.listen,
        root,
        read_only: args.read_only,
        htpasswd: args.htpasswd,
        tls: args.tls_cert.zip(args.tls_key),
        mirror,
        prune: args.prune.then_some(Duration::from_secs(24 * 3600)),
        limits: Limits::default(),
        notice: Arc::new(|asked, error| eprintln!("rctr: {asked}: {}", exit::links(error))),
    })?;
    println!("{}", server.address());
    server.run(stop)?;
    Ok(0)
}

/// The name of a registry.
fn registry(text: &str) -> Result<String, String> {
    let named = format!("{text}/any/any").parse::<images::Reference>().is_ok_and(|any| any.registry() == text);
    named.then(|| text.to_owned()).ok_or_else(|| format!("{text:?} is no registry: the form is HOST[:PORT], such as docker.io"))
}

fn upstream(context: &Context, registry: String, keep: Keep) -> Result<Upstream> {
    let images::PullOptions { registries, credentials, .. } = context.pull_options(None)?;
    Ok(Upstream { registry, registries, credentials, keep })
}
