//! Stock kubectl against a control plane. `KUBECTL` names another one than that of the path.

mod apply;
mod basics;
mod cluster;
mod events;
mod join;
mod owners;
mod priority;
mod python;
mod restriction;
mod rights;
mod watch;

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use control::controllers::Times;
use control::{Config, ControlPlane};
use tempfile::TempDir;

/// A control plane of its own, and kubectl for it.
pub(crate) struct Cluster {
    pub(crate) plane: ControlPlane,
    folder: TempDir,
    runtime: tokio::runtime::Runtime,
}

/// What kubectl said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

fn kubectl() -> String {
    std::env::var("KUBECTL").unwrap_or_else(|_| "kubectl".into())
}

impl Cluster {
    /// Nothing, said aloud, where there is no kubectl.
    pub(crate) fn start(test: &str) -> Option<Self> {
        // the tests' own nodes may be slow: only those that let one die say how soon it is missed
        Self::start_with(test, Times { node_silence: Duration::from_secs(300), ..Times::default() })
    }

    pub(crate) fn start_with(test: &str, times: Times) -> Option<Self> {
        if Command::new(kubectl()).args(["version", "--client"]).stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
            let _ = writeln!(std::io::stderr(), "skipped {test}: kubectl is lacking (Debian: kubernetes-client)");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let config = Config {
            folder: folder.path().join("state"),
            etcd: None,
            listen: "127.0.0.1:0".parse().unwrap(),
            names: Vec::new(),
            tokens: "token-of-ann,ann,7,\"dev\"\ntoken-of-n1,system:node:n1,8,\"system:nodes\"\n".into(),
            settings: Default::default(),
            times,
            node_certificates: control::certs::NODE,
        };
        let plane = runtime.block_on(control::serve(config)).unwrap();
        Some(Self { plane, folder, runtime })
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub(crate) fn runtime(&self) -> &tokio::runtime::Runtime {
        &self.runtime
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(kubectl());
        command
            .args(arguments)
            .env("KUBECONFIG", &self.plane.kubeconfig)
            .env("HOME", self.folder.path())
            .current_dir(self.folder.path());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        self.finish(self.command(arguments), "")
    }

    /// With this on standard input.
    pub(crate) fn feed(&self, arguments: &[&str], input: &str) -> Said {
        self.finish(self.command(arguments), input)
    }

    pub(crate) fn finish(&self, mut command: Command, input: &str) -> Said {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim_end().to_string();
        Said { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// What it says when all is well.
    #[track_caller]
    pub(crate) fn ok(&self, line: &str) -> String {
        let said = self.run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(said.code, 0, "kubectl {line}: {}", said.err);
        said.out
    }

    /// What it says when something is wrong.
    #[track_caller]
    pub(crate) fn fails(&self, line: &str) -> String {
        let said = self.run(&line.split(' ').collect::<Vec<_>>());
        assert_ne!(said.code, 0, "kubectl {line}: {}", said.out);
        said.err
    }

    /// Writes a pod's status, as its node would.
    pub(crate) fn set_status(&self, resource: &str, status: &str) {
        let said =
            self.run(&["patch", resource, "--subresource=status", "--type=merge", "-p", &format!("{{\"status\":{status}}}")]);
        assert_eq!(said.code, 0, "{}", said.err);
    }
}

/// A table's columns, split at blanks.
pub(crate) fn rows(table: &str) -> Vec<Vec<&str>> {
    table.lines().map(|line| line.split_whitespace().collect()).collect()
}
