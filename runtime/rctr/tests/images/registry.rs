//! `rctr registry serve`, and the other verbs against it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::Host;

/// A served registry.
pub(super) struct Registry {
    pub(super) address: String,
    child: Child,
}

impl Registry {
    pub(super) fn serve(host: &Host, more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rctr"));
        command.args(["registry", "serve", "--listen", "127.0.0.1:0"]).args(more);
        command.env("RCTR_ROOT", host.path("served")).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        assert!(address.starts_with("127.0.0.1:"), "{address}");
        Registry { address: address.trim_end().to_owned(), child }
    }

    /// As systemd ends it. Answers with the exit code.
    pub(super) fn end(&mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        self.child.wait().unwrap().code()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.end();
    }
}

#[test]
fn pushed_and_pulled() {
    let Some(host) = Host::new() else { return };
    let mut registry = Registry::serve(&host, &[]);
    let name = format!("{}/a/b:1", registry.address);
    host.load("a:1");
    let id = host.out(&["images", "-q", "--no-trunc"]);
    host.out(&["tag", "a:1", &name]);
    host.out(&["push", "-q", &name]);
    host.out(&["rmi", "-f", id.trim()]);
    host.out(&["pull", "-q", &name]);
    assert_eq!(host.out(&["images", "-q", "--no-trunc"]), id);
    assert!(host.path("served/registry/refs/a/b/:1").exists());
    assert_eq!(registry.end(), Some(0));
}

#[test]
fn short_names() {
    let Some(host) = Host::new() else { return };
    let registry = Registry::serve(&host, &[]);
    let name = format!("{}/a/b:1", registry.address);
    host.load(&name);
    host.out(&["push", "-q", &name]);
    host.out(&["rmi", &name]);
    std::fs::write(host.path("registries.conf"), format!("[aliases]\nshort = '{}/a/b'\n", registry.address)).unwrap();
    assert_eq!(host.out(&["pull", "-q", "short:1"]), format!("{name}\n"));
    assert!(host.rctr(&["pull", "short:2"]).err.contains("404: no tag \"2\""));
}

#[test]
fn what_cannot_be_served() {
    let Some(host) = Host::new() else { return };
    let registry = Registry::serve(&host, &[]);
    let folder = host.path("served/registry");
    let done = host.rctr(&["registry", "serve", "--listen", "127.0.0.1:0", "--root", folder.to_str().unwrap()]);
    assert_eq!(done.err, format!("rctr: {} is served by another process\n", folder.display()));
    let other = host.path("other");
    let arguments = ["registry", "serve", "--listen", &registry.address, "--root", other.to_str().unwrap()];
    assert_eq!(host.rctr(&arguments).err, format!("rctr: listen on {}: Address already in use (os error 98)\n", registry.address));
    let done = host.rctr(&["registry", "serve", "--tls-cert", "/no/such"]);
    assert!(done.code == Some(125) && done.err.contains("--tls-key"), "{}", done.err);
    let done = host.rctr(&["registry", "serve", "--root", other.to_str().unwrap(), "--htpasswd", "/no/such"]);
    assert!(done.err.starts_with("rctr: /no/such: No such file"), "{}", done.err);
}

#[test]
fn copied_between_registries() {
    let Some(host) = Host::new() else { return };
    let one = Registry::serve(&host, &[]);
    let other = Registry::serve(&host, &["--root", host.path("other").to_str().unwrap()]);
    let (from, to) = (format!("{}/a:1", one.address), format!("{}/b/c:2", other.address));
    host.load(&from);
    host.out(&["push", "-q", &from]);
    let said = host.out(&["copy", &from, &to]);
    assert!(said.starts_with(&format!("{to}: digest: sha256:")), "{said}");
    assert_eq!(host.out(&["image", "copy", "-q", &from, &to]).split('@').next().unwrap(), to.trim_end_matches(":2"));
    let id = host.out(&["image", "inspect", "-f", "{{.Id}}", &from]);
    host.out(&["rmi", &from]);
    host.out(&["pull", "-q", &to]);
    assert_eq!(host.out(&["image", "inspect", "-f", "{{.Id}}", &to]), id);
    let done = host.rctr(&["copy", &from, "A"]);
    assert!(done.code == Some(125) && done.err.contains("invalid reference \"A\""), "{}", done.err);
}
