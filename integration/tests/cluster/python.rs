//! The Python client and a cluster with pods. What needs no node is in `noded/control/tests/kubectl/python.rs`.

use std::fs;
use std::process::{Command, Stdio};

use integration::env::Running;

use super::base::Cluster;

/// Debian's, which has Debian's packages; another one of the path has not.
const PYTHON: &str = "/usr/bin/python3";

/// It lists, watches, patches and reads logs, and speaks to programs and ports, with the pods of `reach`.
#[allow(clippy::print_stdout, reason = "as the runner says what is left out")]
pub(super) fn reaches_pods(c: &Cluster) {
    let is_there = Command::new(PYTHON).args(["-c", "import kubernetes, websocket"]).stderr(Stdio::null()).status();
    if !is_there.is_ok_and(|status| status.success()) {
        println!("left out: the Python client, which needs Python's kubernetes (Debian: python3-kubernetes)");
        return;
    }
    let script = c.env.path("client.py");
    fs::write(&script, include_str!("client.py")).expect("a script");
    let mut command = c.env.command(PYTHON);
    command.arg(script).arg(c.kubeconfig());
    Running::start(command).finish().ok().says("done\n");
}
