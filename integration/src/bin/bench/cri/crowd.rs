//! Many pods of each daemon: until they run, until each has answered, lists and memory meanwhile, and until they are gone.

use std::time::Instant;

use anyhow::Result;

use super::pods::Pod;
use super::server::Server;
use super::{CROWD, memory, memory_title, tidily};
use crate::measure::{Row, Samples, Unit, milliseconds, sample, samples, settle};

/// Pods by the name of who has them. Who cannot do it is left out, but for ours.
pub(super) fn running(count: usize, servers: &[Server]) -> Result<Vec<(&Server, Vec<Pod>)>> {
    let mut running = Vec::new();
    for server in servers {
        match tidily(server, || server.grow(count, CROWD)) {
            Ok(pods) => running.push((server, pods)),
            Err(error) if server.is_ours() => return Err(error),
            Err(error) => eprintln!("bench: {} is left out with {count} pods: {error:#}", server.who()),
        }
    }
    Ok(running)
}

/// Pods of each server.
type Crowds<'a> = Vec<(&'a Server, Vec<Pod>)>;

/// As [`running`], with how long it took.
fn begun(count: usize, servers: &[Server]) -> Result<(Crowds<'_>, Samples)> {
    let (mut all, mut times) = (Vec::new(), Samples::new());
    for server in servers {
        settle();
        let start = Instant::now();
        let one = running(count, std::slice::from_ref(server))?;
        times.extend(one.iter().map(|(server, _)| (server.who().to_owned(), vec![milliseconds(start.elapsed())])));
        all.extend(one);
    }
    Ok((all, times))
}

/// All rows.
pub(super) fn rows(count: usize, runs: usize, servers: &[Server]) -> Result<Vec<Row>> {
    eprintln!("bench: {count} pods of each");
    let (running, started) = begun(count, servers)?;
    let answered = sample(&format!("{count} pods: each answers"), &running, 1, |(server, pods), _| {
        let start = Instant::now();
        server.exec_in_all(pods, &["true"], CROWD)?;
        Ok(vec![milliseconds(start.elapsed())])
    })?;
    let [pods, containers] = samples(&format!("lists with {count} pods"), &running, runs, |(server, _), _| {
        settle();
        let begun = Instant::now();
        server.list_pods(count)?;
        let pods = milliseconds(begun.elapsed());
        let begun = Instant::now();
        server.list_containers(count)?;
        Ok([vec![pods], vec![milliseconds(begun.elapsed())]])
    })?;
    let memory = sample(&memory_title(count), &running, 1, |(server, _), _| Ok(vec![memory::settled(server)?]))?;
    let mut ended = Samples::new();
    for (server, pods) in running {
        settle();
        let start = Instant::now();
        server.end(pods, CROWD)?;
        ended.push((server.who().to_owned(), vec![milliseconds(start.elapsed())]));
    }
    let row = |title: String, samples| Row { title, unit: Unit::Milliseconds, samples };
    Ok(vec![
        row(format!("{count} pods: run, create, start"), started),
        answered,
        row(format!("ListPodSandbox, {count} pods"), pods),
        row(format!("ListContainers, {count} pods"), containers),
        Row { unit: Unit::Kib, ..memory },
        row(format!("{count} pods: stop, remove"), ended),
    ])
}
