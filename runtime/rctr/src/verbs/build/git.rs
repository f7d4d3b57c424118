//! Repositories, fetched by the host's git into a folder of their own. It is told what it may not do: run hooks or filters, read anybody's
//! settings, ask for passwords, or use a protocol that reads files of this host or runs programs.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use engine::Engine;
use engine::build::{Checkout, Repository};

/// Settings that hold for every call, whatever a repository says.
const SETTINGS: [&str; 7] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "protocol.ext.allow=never",
    "protocol.file.allow=never",
    "advice.detachedHead=false",
    "gc.auto=0",
    "credential.helper=",
];

/// What of the caller's environment git and ssh need: who one is, agents, and proxies.
const KEPT: [&str; 10] =
    ["PATH", "HOME", "SSH_AUTH_SOCK", "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"];

/// Fetches what a repository has at the commit that is meant. `keep`: its `.git` stays.
pub(crate) fn fetch(engine: &Engine, repository: &Repository, keep: bool) -> Result<Checkout> {
    let what = || format!("fetch {}", repository.shown());
    let upper = engine.images().upper()?;
    let top = upper.folder().join("upper");
    let commit = checkout(&top, repository, keep).with_context(what)?;
    let folder = inside(&top, &repository.folder).with_context(what)?;
    Ok(Checkout { folder, commit, held: Box::new(upper) })
}

fn checkout(top: &Path, repository: &Repository, keep: bool) -> Result<String> {
    let git = |words: &[&str]| git(top, words);
    git(&["init", "-q", "--template=", "."])?;
    git(&["remote", "add", "origin", &repository.remote])?;
    let reference = repository.reference.as_deref().unwrap_or("HEAD");
    let commit = match git(&["fetch", "-q", "--depth", "1", "--no-tags", "origin", "--", reference]) {
        Ok(_) => git(&["rev-parse", "--verify", "-q", "FETCH_HEAD^{commit}"])?,
        // A commit that the server gives nobody by itself, its beginning, or a server that gives only all.
        Err(first) => {
            let all = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"];
            let fetched = git(&["fetch", "-q", "origin", "--", all[0], all[1]]);
            let found = fetched.and_then(|_| match repository.reference {
                Some(_) => git(&["rev-parse", "--verify", "-q", &format!("{reference}^{{commit}}")]),
                None => bail!("it has no HEAD"),
            });
            // The first answer is about what was asked for.
            found.map_err(|_| first)?
        }
    };
    git(&["checkout", "-q", "--detach", &commit])?;
    if top.join(".gitmodules").exists() {
        git(&["submodule", "update", "-q", "--init", "--recursive", "--depth", "1"])?;
    }
    if keep {
        // No password goes into an image.
        git(&["remote", "set-url", "origin", &repository.shown()])?;
    } else {
        let folder = sys::fs::open_dir(top)?;
        sys::fs::remove_tree(&folder, OsStr::new(".git"))?;
    }
    Ok(commit)
}

/// Runs git, and answers the first line that it says. What it complains of is the error.
fn git(top: &Path, words: &[&str]) -> Result<String> {
    let mut command = Command::new("git");
    command.arg("-C").arg(top);
    command.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
    command.args(words).env_clear().stdin(Stdio::null());
    command.envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.envs([
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_ATTR_NOSYSTEM", "1"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_ASKPASS", "true"),
        ("GIT_ALLOW_PROTOCOL", "https:http:git:ssh"),
        ("GIT_SSH_COMMAND", "ssh -o BatchMode=yes"),
        ("LC_ALL", "C.UTF-8"),
    ]);
    // Files are what an image will have: their modes must not depend on who calls. Only a thread has a mask of its own.
    let run = || -> Result<_> {
        sys::fs::private_umask()?;
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
        Ok(command.output())
    };
    let output = std::thread::scope(|scope| scope.spawn(run).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    let output = match output {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("there is no program git on this host, which fetches repositories")
        }
        output => output.context("run git")?,
    };
    if output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout);
        return Ok(said.lines().next().unwrap_or_default().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().map(|line| line.trim_start_matches("fatal: ")).filter(|line| !line.is_empty()).collect();
    bail!("git {}: {}", words[0], if lines.is_empty() { output.status.to_string() } else { lines.join("; ") })
}

/// A folder of the repository. A link that leads out of it leads nowhere.
fn inside(top: &Path, folder: &str) -> Result<std::path::PathBuf> {
    use rustix::fs::{Mode, OFlags};
    if folder.is_empty() {
        return Ok(top.to_owned());
    }
    let root = sys::fs::open_dir(top)?;
    let found = sys::fs::open_in_root(&root, folder, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())
        .with_context(|| format!("it has no folder {folder}"))?;
    let descriptor = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&found));
    std::fs::read_link(&descriptor).with_context(|| format!("readlink({descriptor})"))
}
