//! `bench cri`: noded beside containerd, both asked by one client in the words of the kubelet.
//!
//! Each daemon has a state, a socket, a bridge and a parent of cgroups of its own, the same image from the same registry, and is asked in
//! turn. A pod is a sandbox with one container that sleeps.

mod crowd;
mod memory;
mod plan;
mod pods;
mod probes;
mod server;

use std::time::Instant;

use anyhow::{Context, Result};
use integration::containerd;
use integration::registry::Registry;

use crate::Args;
use crate::measure::{Row, Unit, milliseconds, sample, samples, settle};
use crowd::running;
use server::Server;

/// Who may take part beside ours.
pub(crate) const PEERS: [&str; 1] = ["containerd"];

/// How many pods at once.
const CROWD: usize = 10;

/// All rows.
pub(crate) fn rows(args: &Args, registry: &Registry, peers: &[String]) -> Result<Vec<Row>> {
    registry.push(containerd::SANDBOX, &containerd::sandbox()?)?;
    let mut servers = vec![Server::start("ours", &args.ours, &registry.address)?];
    for peer in peers {
        match Server::start(peer, &args.ours, &registry.address) {
            Ok(server) => servers.push(server),
            Err(error) => eprintln!("bench: {peer} is left out: {error:#}"),
        }
    }
    let (few, many) = if args.quick { (10, 30) } else { (50, 500) };
    let mut rows = memory_of(few, args.runs(3), &servers)?;
    rows.extend(lives("one pod", 1, args.runs(30), &servers)?);
    rows.extend(lives(&format!("{CROWD} pods at once"), CROWD, args.runs(10), &servers)?);
    rows.push(exec(args.runs(60), &servers)?);
    rows.push(probes::row(args.quick, &servers)?);
    rows.extend(crowd::rows(many, args.runs(60), &servers)?);
    Ok(rows)
}

/// What a measurement leaves when it fails is removed: the next one begins with no pods, too.
fn tidily<T>(server: &Server, work: impl FnOnce() -> Result<T>) -> Result<T> {
    work().inspect_err(|_| server.clear())
}

/// Memory without pods, and with `count` of them. The round that does not count makes one pod, so that nothing is new to the daemon.
fn memory_of(count: usize, runs: usize, servers: &[Server]) -> Result<Vec<Row>> {
    let [none, with] = samples(&format!("memory with 0 and {count} pods"), servers, runs, |server, round| {
        tidily(server, || {
            let none = memory::settled(server)?;
            let pods = server.grow(if round == 0 { 1 } else { count }, CROWD)?;
            let with = memory::settled(server)?;
            server.end(pods, CROWD)?;
            Ok([vec![none], vec![with]])
        })
    })?;
    let row = |count: usize, samples| Row { title: memory_title(count), unit: Unit::Kib, samples };
    Ok(vec![row(0, none), row(count, with)])
}

fn memory_title(count: usize) -> String {
    format!("memory of the daemon and monitors, {count} pods")
}

/// From nothing until all pods run, and from there to nothing.
fn lives(what: &str, count: usize, runs: usize, servers: &[Server]) -> Result<Vec<Row>> {
    let [start, end] = samples(what, servers, runs, |server, _| {
        tidily(server, || {
            settle();
            let begun = Instant::now();
            let pods = server.grow(count, count)?;
            let started = milliseconds(begun.elapsed());
            settle();
            let begun = Instant::now();
            server.end(pods, count)?;
            Ok([vec![started], vec![milliseconds(begun.elapsed())]])
        })
    })?;
    let row = |calls: &str, samples| Row { title: format!("{what}: {calls}"), unit: Unit::Milliseconds, samples };
    Ok(vec![row("run, create, start", start), row("stop, remove", end)])
}

/// A process in a running container, from the call to its exit code.
fn exec(runs: usize, servers: &[Server]) -> Result<Row> {
    let running = running(1, servers)?;
    let row = sample("exec sync of true", &running, runs, |(server, pods), _| {
        settle();
        let begun = Instant::now();
        server.exec(pods.first().context("no pod")?, &["true"])?;
        Ok(vec![milliseconds(begun.elapsed())])
    })?;
    running.into_iter().try_for_each(|(server, pods)| server.end(pods, CROWD))?;
    Ok(row)
}
