//! Who takes part, and the command line of each for the same work.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use integration::registry::mirror_of_docker_hub;

use crate::measure::Named;
use crate::oci::Bundle;
use crate::report;

/// One command line. `{n}` in it stands for the number of the sample.
#[derive(Debug, Clone)]
pub(crate) struct Contender {
    name: String,
    words: Vec<String>,
    registries: PathBuf,
}

impl Contender {
    /// The command of this sample, without input and output.
    pub(crate) fn command(&self, sample: usize) -> Command {
        self.command_of(&[], sample)
    }

    /// The same as the last words of another command.
    pub(crate) fn command_of(&self, first: &[&str], sample: usize) -> Command {
        let own = self.words.iter().map(|word| word.replace("{n}", &sample.to_string()));
        let mut words = first.iter().map(ToString::to_string).chain(own);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).env("CONTAINERS_REGISTRIES_CONF", &self.registries);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Runs it once more with its outputs, to tell why it failed.
    pub(crate) fn explain(&self, sample: usize) -> String {
        explained(&mut self.command(sample))
    }
}

impl Named for Contender {
    fn name(&self) -> &str {
        &self.name
    }
}

/// Runs a command that has failed once more with its outputs, to tell why.
pub(crate) fn explained(command: &mut Command) -> String {
    let words: Vec<_> =
        std::iter::once(command.get_program()).chain(command.get_args()).map(|word| word.to_string_lossy()).collect();
    let line = words.join(" ");
    match command.stdout(Stdio::piped()).stderr(Stdio::piped()).output() {
        Ok(output) => format!("{line}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()),
        Err(error) => format!("{line}: {error}"),
    }
}

/// What all of them stand on.
#[derive(Debug)]
pub(crate) struct Ground {
    rctr: String,
    registry: String,
    registries: PathBuf,
    folder: tempfile::TempDir,
    /// On a disk.
    storage: tempfile::TempDir,
}

impl Ground {
    pub(crate) fn prepare(ours: &Path, registry: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let storage = tempfile::Builder::new().prefix("bench-fetched-").tempdir_in("/var/tmp")?;
        let registries = folder.path().join("registries.conf");
        fs::write(&registries, mirror_of_docker_hub(registry))?;
        let rctr = ours.join("rctr");
        if !rctr.is_file() {
            bail!("{} is not built", rctr.display());
        }
        Ok(Self { rctr: rctr.display().to_string(), registry: registry.to_owned(), registries, folder, storage })
    }

    /// Those of `known` that were asked for and are installed. A missing one is named.
    pub(crate) fn peers(&self, known: &[&str], asked: Option<&[String]>) -> Vec<String> {
        let wanted = asked.map_or_else(|| known.iter().map(ToString::to_string).collect(), <[String]>::to_vec);
        let installed = |peer: &String| {
            let found = known.contains(&peer.as_str()) && on_path(peer);
            if !found {
                eprintln!("bench: {peer} is not installed (or has no such bench) and is left out");
            }
            found
        };
        wanted.into_iter().filter(installed).collect()
    }

    /// Ours first, then the peers.
    pub(crate) fn all(&self, peers: &[String], make: impl Fn(&str) -> Contender) -> Vec<Contender> {
        std::iter::once("ours").chain(peers.iter().map(String::as_str)).map(make).collect()
    }

    /// `run --rm … true` of busybox.
    pub(crate) fn run(&self, who: &str, network: &str) -> Contender {
        let image = self.name(who, super::BUSYBOX);
        let words = match who {
            "ours" => vec![self.rctr.as_str(), "run", "--rm", "--network", network, &image, "true"],
            // the pure v2 view of a build machine has no pids controller
            "podman" => {
                let flags = ["--cgroup-manager", "cgroupfs", "run", "--rm", "--pids-limit", "0", "--network", network];
                ["podman"].into_iter().chain(flags).chain([image.as_str(), "true"]).collect()
            }
            other => vec![other, "run", "--rm", "--network", network, &image, "true"],
        };
        self.contender(who, &words)
    }

    /// What of `run --rm --network none` the kernel alone does.
    pub(crate) fn bare(&self, program: &Path, bundle: &Bundle) -> Contender {
        let (program, plan) = (program.display().to_string(), bundle.plan());
        let words: Vec<&str> = [&program, "run", &plan].into_iter().chain(bundle.program.iter().copied()).collect();
        self.contender(report::BARE, &words)
    }

    /// `run -d` of a busybox that sleeps, and ends at once when it is asked to.
    pub(crate) fn idle(&self, who: &str, name: &str) -> Contender {
        let image = self.name(who, super::BUSYBOX);
        let flags = ["run", "-d", "--name", name, "--stop-signal", "KILL"];
        let more: &[&str] = if who == "podman" { &["--pids-limit", "0"] } else { &[] };
        self.verb(who, flags[0], &[&flags[1..], more].concat(), &[image, "sleep".to_owned(), "1000000".to_owned()])
    }

    /// A verb with its flags and what follows them.
    pub(crate) fn verb(&self, who: &str, verb: &str, flags: &[&str], rest: &[String]) -> Contender {
        let begin: &[&str] = match who {
            "ours" => &[&self.rctr],
            "podman" => &["podman", "--cgroup-manager", "cgroupfs"],
            other => &[other],
        };
        let words: Vec<&str> =
            begin.iter().copied().chain([verb]).chain(flags.iter().copied()).chain(rest.iter().map(String::as_str)).collect();
        self.contender(who, &words)
    }

    /// A pull.
    pub(crate) fn pull(&self, who: &str, image: &str) -> Contender {
        let image = self.name(who, image);
        let fetched = self.storage.path().join(image.replace(['/', ':'], "-")).display().to_string();
        let unpack = format!(
            "skopeo copy -q --src-tls-verify=false docker://{image} oci:{fetched}:x && umoci unpack --image {fetched}:x {fetched}-x"
        );
        let words = match who {
            "ours" => vec![self.rctr.as_str(), "pull", "-q", &image],
            "ctr" => vec!["ctr", "-n", "bench", "images", "pull", "--plain-http", &image],
            "podman" | "buildah" => vec![who, "pull", "-q", "--tls-verify=false", &image],
            "umoci" => vec!["sh", "-c", &unpack],
            other => vec![other, "pull", "-q", &image],
        };
        self.contender(who, &words)
    }

    /// Another name for an image, where a push wants it to have one.
    pub(crate) fn tag(&self, who: &str, image: &str, name: &str) -> Option<Contender> {
        let image = self.name(who, image);
        match who {
            "ours" => Some(self.contender(who, &[&self.rctr, "tag", &image, name])),
            "docker" => Some(self.contender(who, &["docker", "tag", &image, name])),
            _ => None,
        }
    }

    /// A push of an image under another name.
    pub(crate) fn push(&self, who: &str, image: &str, name: &str) -> Contender {
        let image = self.name(who, image);
        let words = match who {
            "ours" => vec![self.rctr.as_str(), "push", "-q", name],
            "ctr" => vec!["ctr", "-n", "bench", "images", "push", "--plain-http", name, &image],
            "podman" => vec!["podman", "push", "-q", "--tls-verify=false", &image, name],
            other => vec![other, "push", "-q", name],
        };
        self.contender(who, &words)
    }

    /// An archive of an image, at `path`.
    pub(crate) fn save(&self, who: &str, image: &str, path: &str) -> Contender {
        let image = self.name(who, image);
        let words = match who {
            "ours" => vec![self.rctr.as_str(), "save", "-o", path, &image],
            "ctr" => vec!["ctr", "-n", "bench", "images", "export", path, &image],
            "podman" => vec!["podman", "save", "-q", "-o", path, &image],
            other => vec![other, "save", "-o", path, &image],
        };
        self.contender(who, &words)
    }

    /// A folder for lists and the like.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The base image as a Dockerfile names it.
    pub(crate) fn base(&self, who: &str) -> String {
        self.name(who, super::BUSYBOX)
    }

    /// A build of the folder `context`, after the shell's command `before`.
    pub(crate) fn build(&self, who: &str, before: &str, flags: &[&str], context: &str) -> Contender {
        let builder = match who {
            "ours" => format!("{} build", self.rctr),
            // Without it buildah remembers nothing.
            "podman" => "podman --cgroup-manager cgroupfs build --layers --tls-verify=false".to_owned(),
            "buildah" => "buildah build --layers --tls-verify=false".to_owned(),
            other => format!("{other} build"),
        };
        let line = format!("{before}; exec {builder} -q --network none {} -t bench-build {context}", flags.join(" "));
        self.contender(who, &["sh", "-c", &line])
    }

    /// Makes an image present.
    pub(crate) fn pull_once(&self, who: &str, image: &str) -> Result<()> {
        let contender = self.pull(who, image);
        let status = contender.command(0).status().with_context(|| format!("run {who}"))?;
        if status.success() { Ok(()) } else { bail!("{}", contender.explain(0)) }
    }

    /// Ours goes through the mirror entry, as a user's command does; the others are told the registry.
    fn name(&self, who: &str, image: &str) -> String {
        if who == "ours" { image.trim_start_matches("library/").to_owned() } else { format!("{}/{image}", self.registry) }
    }

    /// A command line.
    pub(crate) fn contender(&self, who: &str, words: &[&str]) -> Contender {
        let words = words.iter().map(ToString::to_string).collect();
        Contender { name: who.to_owned(), words, registries: self.registries.clone() }
    }
}

/// Whether a program of this name is installed.
pub(crate) fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
