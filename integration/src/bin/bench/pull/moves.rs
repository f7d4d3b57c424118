//! The node image goes on: to another registry, which has nothing of it, and into an archive. Each contender has it from its last pull.

use anyhow::{Result, bail};
use integration::registry::Registry;

use super::metered;
use crate::contender::{Contender, Ground, explained};
use crate::measure::Row;

const IMAGE: &str = "bench/node-gzip:n0";

/// `push`, each time into a repository that has no blobs.
pub(crate) fn push(ground: &Ground, peers: &[String], runs: usize) -> Result<Vec<Row>> {
    let storage = tempfile::Builder::new().prefix("bench-other-").tempdir_in("/var/tmp")?;
    let other = Registry::start_in(storage.path(), false)?;
    let target = |who: &str| format!("{}/{who}-{{n}}/node:v1", other.address);
    let peers = having(ground, peers);
    for who in std::iter::once("ours").chain(peers.iter().map(String::as_str)) {
        if let Some(tag) = ground.tag(who, IMAGE, &target(who)) {
            for number in 0..=runs {
                done(&tag, number)?;
            }
        }
    }
    metered("push, 6 layers, gzip", &ground.all(&peers, |who| ground.push(who, IMAGE, &target(who))), runs)
}

/// `save`, to an archive of the usual kind.
pub(crate) fn save(ground: &Ground, peers: &[String], runs: usize) -> Result<Vec<Row>> {
    let folder = tempfile::Builder::new().prefix("bench-saved-").tempdir_in("/var/tmp")?;
    let path = |who: &str| folder.path().join(format!("{who}-{{n}}.tar")).display().to_string();
    metered("save, 6 layers, gzip", &ground.all(&having(ground, peers), |who| ground.save(who, IMAGE, &path(who))), runs)
}

/// Those that keep images.
fn having(ground: &Ground, peers: &[String]) -> Vec<String> {
    let keeps = |peer: &&String| *peer != "umoci" && ground.pull_once(peer, IMAGE).is_ok();
    peers.iter().filter(keeps).cloned().collect()
}

fn done(contender: &Contender, number: usize) -> Result<()> {
    let mut command = contender.command(number);
    if command.status()?.success() { Ok(()) } else { bail!("{}", explained(&mut command)) }
}
