//! Who takes part.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use super::bundle::Bundle;
use crate::contender::on_path;
use crate::measure::Named;

/// A runtime, or the bare work.
#[derive(Debug)]
pub(crate) struct Runtime {
    name: String,
    program: PathBuf,
    id: String,
}

impl Named for &Runtime {
    fn name(&self) -> &str {
        &self.name
    }
}

/// Ours, those peers that are asked for and there, and the bare work.
pub(crate) fn all(ours: &Path, asked: Option<&[String]>) -> Result<Vec<Runtime>> {
    const KNOWN: [&str; 2] = ["crun", "runc"];
    let runtime = |name: &str, program: PathBuf| Runtime {
        name: name.to_owned(),
        program,
        id: format!("bench-{name}-{}", std::process::id()),
    };
    let (oci, bare) = (ours.join("rctr-oci"), ours.join("bench-bare"));
    if let Some(missing) = [&oci, &bare].into_iter().find(|program| !program.is_file()) {
        bail!("{} is not built", missing.display());
    }
    let wanted = asked.map_or_else(|| KNOWN.map(str::to_owned).to_vec(), <[String]>::to_vec);
    let there = wanted.iter().filter(|peer| {
        let found = KNOWN.contains(&peer.as_str()) && on_path(peer);
        if !found {
            eprintln!("bench: {peer} is not installed (or no such runtime) and is left out");
        }
        found
    });
    let peers = there.map(|peer| runtime(peer, peer.into()));
    Ok([runtime("ours", oci)].into_iter().chain(peers).chain([runtime("bare", bare)]).collect())
}

impl Runtime {
    pub(crate) fn is_bare(&self) -> bool {
        self.name == "bare"
    }

    /// The id of its one container at a time.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// `run` of a bundle under an id.
    pub(crate) fn run(&self, bundle: &Bundle, id: &str) -> Command {
        match self.is_bare() {
            true => self.command(&[&["run", &bundle.plan()], bundle.program.as_slice()].concat()),
            false => self.command(&["run", "--bundle", &bundle.folder(), id]),
        }
    }

    /// A command line, without input and output.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}
