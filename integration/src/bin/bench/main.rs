//! Ours beside the others: alternating in one run, a table, then one JSON object a row. `integration/bench` starts it.
//!
//! ```text
//! bench run|pull|build|density|oci|cri|cluster --ours FOLDER [--peers a,b] [--runs N] [--quick] [--daemons]
//! ```
//!
//! `--daemons` starts dockerd and containerd, for a root folder where nothing runs.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints")]

mod build;
mod cluster;
mod contender;
mod cri;
mod daemon;
mod density;
mod measure;
mod memory;
mod oci;
mod pull;
mod report;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use integration::catalog;
use integration::registry::Registry;

use contender::{Contender, Ground};
use measure::{Row, alternate, at_once};
use oci::Bundle;

/// What was asked for.
struct Args {
    bench: String,
    ours: PathBuf,
    peers: Option<Vec<String>>,
    runs: Option<usize>,
    quick: bool,
    daemons: bool,
}

impl Args {
    fn parse() -> Result<Self> {
        let mut words = std::env::args().skip(1);
        let bench = words.next().context("bench run|pull|build|density|oci|cri|cluster")?;
        let mut args = Self { bench, ours: PathBuf::new(), peers: None, runs: None, quick: false, daemons: false };
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match word.as_str() {
                "--ours" => args.ours = value()?.into(),
                "--peers" => args.peers = Some(value()?.split(',').map(str::to_owned).collect()),
                "--runs" => args.runs = Some(value()?.parse().context("--runs")?),
                "--quick" => args.quick = true,
                "--daemons" => args.daemons = true,
                _ => bail!("{word}: unknown"),
            }
        }
        Ok(args)
    }

    /// How many samples of each contender.
    fn runs(&self, usual: usize) -> usize {
        self.runs.unwrap_or(if self.quick { usual.div_ceil(5) } else { usual }).max(1)
    }
}

fn main() -> Result<()> {
    if std::env::args().nth(1).as_deref() == Some(pull::ALONE) {
        return pull::alone(std::env::args().skip(2));
    }
    let args = Args::parse()?;
    if args.bench == "oci" {
        report::print(&args.bench, &oci::rows(&args)?);
        return Ok(());
    }
    if args.bench == "cluster" {
        report::print(&args.bench, &cluster::rows(args.runs(5), args.quick)?);
        return Ok(());
    }
    // on the disk: /tmp may be memory
    let storage = tempfile::Builder::new().prefix("bench-registry-").tempdir_in("/var/tmp")?;
    let registry = Registry::start_in(storage.path(), false)?;
    if args.bench != "pull" {
        for (name, bundle) in catalog::small()?.iter().filter(|(name, _)| *name == BUSYBOX) {
            registry.push(name, bundle)?;
        }
    }
    let known: &[&str] = match args.bench.as_str() {
        "run" => &["docker", "podman"],
        "pull" => &pull::PEERS,
        "build" => &["docker", "podman", "buildah"],
        "density" => &["docker", "podman"],
        "cri" => &cri::PEERS,
        other => bail!("{other}: there is run, pull, build, density, oci, cri and cluster"),
    };
    let ground = Ground::prepare(&args.ours, &registry.address)?;
    let mut peers = ground.peers(known, args.peers.as_deref());
    let daemons = if args.daemons { daemon::start(&peers)? } else { Vec::new() };
    let rows = match args.bench.as_str() {
        "run" => run(&args, &ground, &mut peers)?,
        "build" => {
            present(&ground, &mut peers)?;
            build::rows(args.runs(15), &ground, &peers)?
        }
        "density" => {
            present(&ground, &mut peers)?;
            density::rows(if args.quick { 20 } else { 200 }, args.runs(5), &ground, &peers)?
        }
        "cri" => cri::rows(&args, &registry, &peers)?,
        _ => pull::rows(&args, &ground, &registry, storage.path(), &peers)?,
    };
    report::print(&args.bench, &rows);
    drop(daemons);
    Ok(())
}

const BUSYBOX: &str = "library/busybox:latest";

/// Busybox for everybody; who cannot pull it is left out.
fn present(ground: &Ground, peers: &mut Vec<String>) -> Result<()> {
    peers.retain(|peer| ground.pull_once(peer, BUSYBOX).map_err(|error| eprintln!("bench: {peer} is left out: {error:#}")).is_ok());
    ground.pull_once("ours", BUSYBOX)
}

fn run(args: &Args, ground: &Ground, peers: &mut Vec<String>) -> Result<Vec<Row>> {
    present(ground, peers)?;
    // on the disk, as the containers are
    let floor = tempfile::Builder::new().prefix("bench-bare-").tempdir_in("/var/tmp")?;
    let bundle = Bundle::make(floor.path(), true, &["/bin/true"])?.layered()?;
    let mut rows = Vec::new();
    for network in ["bridge", "none"] {
        let mut contenders: Vec<Contender> = ground.all(peers, |who| ground.run(who, network));
        if network == "none" {
            contenders.push(ground.bare(&args.ours.join("bench-bare"), &bundle));
        }
        rows.push(alternate(&format!("run --rm, network {network}"), &contenders, args.runs(30))?);
        rows.push(at_once(&format!("run --rm, network {network}, 32 at once"), &contenders, 32, args.runs(5))?);
    }
    Ok(rows)
}
