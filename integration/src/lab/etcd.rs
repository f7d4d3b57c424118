//! The etcd of a lab, for several control-plane hosts.

use std::process::Command;

use super::Wires;
use crate::env::{Env, Running};

const ADDRESS: &str = "127.0.0.1:2379";

/// Debian's etcd, beside the router.
#[derive(Debug)]
pub struct Etcd {
    start: Vec<String>,
    address: String,
    running: Option<Running>,
}

impl Etcd {
    pub(super) fn new(env: &Env, wires: &Wires) -> Etcd {
        let (client, peer) = (format!("http://{ADDRESS}"), "http://127.0.0.1:2380");
        let mut command = wires.command(env, 0, "etcd");
        command.args(["--name=a", "--listen-client-urls", &client, "--advertise-client-urls", &client, "--listen-peer-urls", peer]);
        command.args(["--initial-advertise-peer-urls", peer, "--initial-cluster", &format!("a={peer}"), "--data-dir"]);
        command.arg(env.path("etcd"));
        let text = |word: &std::ffi::OsStr| word.to_string_lossy().into_owned();
        let start = std::iter::once(command.get_program()).chain(command.get_args()).map(text).collect();
        Etcd { start, address: format!("etcd://{ADDRESS}"), running: None }
    }

    /// Starts it.
    pub fn begin(&mut self) {
        let mut command = Command::new(&self.start[0]);
        command.args(&self.start[1..]).env("ETCD_UNSUPPORTED_ARCH", std::env::consts::ARCH.replace("aarch64", "arm64"));
        self.running = Some(Running::start(command));
    }

    /// Kills it with SIGKILL.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&mut self) {
        self.running.take().expect("an etcd that runs").kill();
    }

    /// What control planes are told.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill();
        }
    }
}
