//! The way from a home's network to the host's: pasta(1) translates between the two in user space, with the rights of the user.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Access, Mode, OFlags, openat};
use serde::{Deserialize, Serialize};
use sys::Call;
use sys::process::{Clone, clone3};

use super::places::Run;
use super::{apart, program};

const NAME: &str = "pasta";
const TUN: &str = "/dev/net/tun";
/// Files in the folder of run.
pub(super) const PID: &str = "pasta.pid";
pub(super) const LOG: &str = "pasta.log";

/// What has become of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pasta {
    /// The process, and when it started.
    process: Option<(u32, u64)>,
    /// Why there is none.
    pub(super) cut_off: Option<String>,
}

impl Pasta {
    /// Nothing is to be done: it runs, or cannot.
    pub(super) fn is_fine(&self) -> bool {
        match self.process {
            Some((pid, start)) => sys::process::start_time(pid) == Some(start),
            None => program(NAME).is_none(),
        }
    }

    /// The process, while it runs.
    pub(super) fn process(&self) -> Option<std::os::fd::OwnedFd> {
        self.process.and_then(|(pid, start)| sys::process::open(pid, start).ok())
    }

    /// Connects the network of the process `holder` to the host's. That it cannot is no error: containers do without, or with the host's.
    pub(super) fn start(run: &Run, holder: (u32, u64)) -> Result<Pasta> {
        let cut_off = |why: String| Pasta { process: None, cut_off: Some(why) };
        let Some(path) = program(NAME) else {
            let why = "pasta is not installed, which leads a user's networks to the host's: install the package passt";
            return Ok(cut_off(why.to_owned()));
        };
        if let Err(errno) = rustix::fs::access(TUN, Access::READ_OK | Access::WRITE_OK) {
            return Ok(cut_off(format!("this user cannot open {TUN}, which pasta needs ({errno}): chmod 666 {TUN}")));
        }
        let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let log = openat(&run.folder, LOG, flags, Mode::RUSR | Mode::WUSR).call(|| format!("openat({LOG:?})"))?;
        let log = File::from(log);
        let pid = run.path.join(PID);
        let mut command = Command::new(&path);
        command.args(words(&pid, holder.0)).env_clear().current_dir("/").stdin(Stdio::null());
        command.stdout(log.try_clone().context("dup()")?).stderr(log);
        // It goes on in the background once the network is there.
        let status = command.status().with_context(|| format!("execute {}", path.display()))?;
        if !status.success() {
            let said = std::fs::read_to_string(run.path.join(LOG)).unwrap_or_default();
            return Ok(cut_off(format!("{}: {}", path.display(), last_words(&said))));
        }
        let number = std::fs::read_to_string(&pid).with_context(|| format!("read {}", pid.display()))?;
        let number: u32 = number.trim().parse().with_context(|| format!("read {}", pid.display()))?;
        let Some(start) = sys::process::start_time(number) else { return Ok(cut_off(format!("{} has ended", path.display()))) };
        ends_with(holder, (number, start))?;
        Ok(Pasta { process: Some((number, start)), cut_off: None })
    }
}

/// Sees to it that the process `pasta` ends when `holder` does: not each version does so by itself. A process waits for that, with nothing but
/// two descriptors.
fn ends_with(holder: (u32, u64), pasta: (u32, u64)) -> Result<()> {
    let open = |(pid, start)| sys::process::open(pid, start);
    let (holder, pasta) = (open(holder)?, open(pasta)?);
    let wait = || {
        if apart::settle(c"rctr-home-end", &[holder.as_fd(), pasta.as_fd()]).is_err() {
            return 1;
        }
        let either = &mut [PollFd::new(&holder, PollFlags::IN), PollFd::new(&pasta, PollFlags::IN)];
        while poll(either, None).is_err() {}
        let _ = sys::process::signal(&pasta, SIGTERM);
        0
    };
    clone3(&Clone::default(), wait).context("wait for the end of this user's home")?;
    Ok(())
}

const SIGTERM: i32 = 15;

/// Its command line. Ports are none of its business: they are bound in the host's own network by whoever starts a container. The host's
/// loopback is not shown to containers, nor its abstract sockets.
fn words(pid: &Path, holder: u32) -> Vec<std::ffi::OsString> {
    let mut words: Vec<std::ffi::OsString> =
        ["--config-net", "--quiet", "--no-map-gw", "-t", "none", "-u", "none", "-T", "none", "-U"].iter().map(Into::into).collect();
    words.extend(["none", "--dns-forward", engine::Home::RESOLVER, "--pid"].iter().map(Into::into));
    words.push(pid.into());
    words.push(holder.to_string().into());
    words
}

/// What it said last, without what it says of syslog, which is not reached from everywhere.
fn last_words(said: &str) -> String {
    let mut lines = said.lines().filter(|line| !line.contains("to syslog") && !line.trim().is_empty());
    lines.next_back().unwrap_or("it ended without a word").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_hosts_loopback_is_shown() {
        let words = words(Path::new("/run/p"), 7);
        let text = words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ");
        assert!(text.contains("--no-map-gw") && text.contains("-T none -U none") && text.ends_with("--pid /run/p 7"), "{text}");
    }

    #[test]
    fn its_last_words_are_told() {
        let said = "Failed to send 27 bytes to syslog\nFailed to open() /dev/net/tun: Permission denied\nFailed to send 51 bytes to syslog\n";
        assert_eq!(last_words(said), "Failed to open() /dev/net/tun: Permission denied");
        assert_eq!(last_words(""), "it ended without a word");
    }
}
