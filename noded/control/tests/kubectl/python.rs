//! The Python client.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::Cluster;

const PYTHON: &str = "/usr/bin/python3";

#[test]
fn the_python_client_does_what_kubectl_does() {
    // Debian's, which has its packages; another one of the path has not
    let there = Command::new(PYTHON).args(["-c", "import kubernetes"]).stderr(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        let _ = writeln!(std::io::stderr(), "skipped: needs Python's kubernetes (Debian: python3-kubernetes)");
        return;
    }
    let Some(c) = Cluster::start("the_python_client_does_what_kubectl_does") else { return };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kubectl/client.py");
    let said = Command::new(PYTHON).arg(script).arg(&c.plane.kubeconfig).env("HOME", c.folder()).output().unwrap();
    let text = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success() && said.stdout == b"done\n", "{text}");
}
