//! Programs that run beside a container at points of its life (runtime-spec, "POSIX-platform Hooks").

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use serde::{Deserialize, Serialize};

/// A program of the host's administrator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// An absolute path.
    pub path: PathBuf,
    /// Its arguments with its own name first; none: it is called by its path.
    pub args: Vec<String>,
    /// Its whole environment, `KEY=VALUE`.
    pub env: Vec<String>,
    /// Seconds after which it is killed, and has failed.
    pub timeout: Option<i64>,
}

impl Hook {
    /// Runs it to its end. It reads `state` from its standard input, has no descriptor of the caller's and no environment but its own.
    ///
    /// # Errors
    /// Why it could not be run, or how it has failed and what it said about that: one line without the program's name.
    pub fn run(&self, state: &str) -> Result<(), String> {
        if !self.path.is_absolute() {
            return Err("its path is not absolute".to_owned());
        }
        if self.timeout.is_some_and(|seconds| seconds <= 0) {
            return Err("its timeout is not above zero".to_owned());
        }
        let mut command = Command::new(&self.path);
        // A file and no pipe: neither much text nor a daemon that keeps it open can block.
        let said = File::from(memfd_create("hook", MemfdFlags::CLOEXEC).map_err(|errno| errno.to_string())?);
        let stderr = said.try_clone().map_err(|error| error.to_string())?;
        command.env_clear().stdin(Stdio::piped()).stdout(Stdio::null()).stderr(stderr);
        if let Some((first, rest)) = self.args.split_first() {
            command.arg0(first).args(rest);
        }
        command.envs(self.env.iter().map(|entry| entry.split_once('=').unwrap_or((entry, ""))));
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that does not read it has ended, or does not care. A pipe takes 64 KiB without a reader.
            let _ = stdin.write_all(state.as_bytes());
        }
        let ended = match self.timeout {
            Some(seconds) => sys::process::ends_within(&child, Duration::from_secs(seconds.unsigned_abs())),
            None => Ok(true),
        };
        if !ended.map_err(|error| error.to_string())? {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("it has not ended within {} s", self.timeout.unwrap_or_default()));
        }
        let status = child.wait().map_err(|error| error.to_string())?;
        if status.success() {
            return Ok(());
        }
        let mut text = [0; 1024];
        let length = said.read_at(&mut text, 0).unwrap_or(0);
        let text = String::from_utf8_lossy(&text[..length]).trim().replace('\n', " ");
        Err(format!("{status}{}{text}", if text.is_empty() { "" } else { ", stderr: " }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_the_state_and_says_why_it_fails() {
        let hook = |line: &str| Hook {
            path: "/bin/sh".into(),
            args: ["sh", "-c", line].map(str::to_owned).to_vec(),
            env: vec!["OWN=own".to_owned()],
            timeout: Some(60),
        };
        assert_eq!(hook("read line; [ \"$line\" = the-state ] && [ $OWN = own ]").run("the-state\n"), Ok(()));
        assert!(hook("echo no >&2; exit 3").run("").unwrap_err().ends_with("stderr: no"));
        assert!(Hook { path: "sh".into(), ..hook("") }.run("").unwrap_err().contains("absolute"));
    }
}
