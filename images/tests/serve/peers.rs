//! Other people's clients, where they are installed.
#![allow(clippy::print_stderr, reason = "skipped tests say so")]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use images::Digest;
use serde_json::{Value, json};

use crate::host::{Host, INDEX, MANIFEST};

/// What a program prints; `None`, and a visible word, where it is missing.
fn run(program: &str, arguments: &[&str], folder: &Path) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).env("HOME", folder).env("XDG_RUNTIME_DIR", folder).env_remove("REGISTRY_AUTH_FILE");
    let Ok(output) = command.stdin(Stdio::null()).output() else {
        eprintln!("skipped: needs {program}");
        return None;
    };
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// A tar with one file.
fn layer(text: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(text.len() as u64);
    builder.append_data(&mut header, "file", text.as_bytes()).unwrap();
    builder.into_inner().unwrap()
}

/// An image that every client takes for one of this machine, pushed under a tag. Answers with its manifest's digest.
fn image(host: &Host, repository: &str, tag: &str, text: &str) -> Digest {
    let layer = layer(text);
    let id = host.push_blob(repository, &layer);
    let platform = images::Platform::host();
    let config = json!({
        "os": platform.os, "architecture": platform.architecture, "config": {"Cmd": ["/file"]},
        "rootfs": {"type": "layers", "diff_ids": [id]}, "history": [{"created_by": "test"}],
    });
    let config = config.to_string();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": host.push_blob(repository, config.as_bytes()), "size": config.len()},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": id, "size": layer.len()}],
    });
    let answer = host.put_manifest(repository, tag, &manifest);
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.header("docker-content-digest").parse().unwrap()
}

fn tags(host: &Host, repository: &str) -> Value {
    host.get(&format!("/v2/{repository}/tags/list")).json()["tags"].clone()
}

#[test]
fn skopeo() {
    let host = Host::new();
    let folder = tempfile::tempdir().unwrap();
    let digest = image(&host, "a/b", "v1", "hello");
    let name = |rest: &str| format!("docker://{}/{rest}", host.address);
    let run = |arguments: &[&str]| run("skopeo", arguments, folder.path());
    let Some(inspected) = run(&["inspect", "--tls-verify=false", &name("a/b:v1")]) else { return };
    assert_eq!(serde_json::from_str::<Value>(&inspected).unwrap()["Digest"], json!(digest));
    let copy = |from: &str, to: &str, more: &[&str]| {
        let mut arguments = vec!["copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false"];
        arguments.extend_from_slice(more);
        arguments.extend([from, to]);
        run(&arguments).unwrap()
    };
    // Mounted, as it is the same registry.
    copy(&name("a/b:v1"), &name("c:copied"), &["--preserve-digests"]);
    assert_eq!(host.get("/v2/c/manifests/copied").header("docker-content-digest"), digest.as_str());
    // Out to a folder, and back compressed and as Docker's type.
    let layout = format!("oci:{}:x", folder.path().join("layout").display());
    copy(&name("a/b:v1"), &layout, &[]);
    copy(&layout, &name("c:back"), &["--format", "v2s2", "--dest-compress"]);
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    assert_eq!(host.get("/v2/c/manifests/back").header("content-type"), docker);
    // An index with what is in it.
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [{"mediaType": MANIFEST, "digest": digest, "size": host.get("/v2/a/b/manifests/v1").body.len(), "platform": {"os": "linux", "architecture": "amd64"}}]});
    assert_eq!(host.put_manifest("a/b", "all", &index).status, 201);
    copy(&name("a/b:all"), &name("d:all"), &["--all"]);
    assert_eq!(host.get("/v2/d/manifests/all").header("content-type"), INDEX);
    let listed: Value = serde_json::from_str(&run(&["list-tags", "--tls-verify=false", &name("c")]).unwrap()).unwrap();
    assert_eq!(listed["Tags"], json!(["back", "copied"]));
    run(&["delete", "--tls-verify=false", &name("c:back")]).unwrap();
    assert_eq!(tags(&host, "c"), json!(["copied"]));
}

#[test]
fn podman() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let host = Host::new();
    let folder = tempfile::tempdir().unwrap();
    let digest = image(&host, "a/b", "v1", "hello");
    let (root, state) = (folder.path().join("root"), folder.path().join("state"));
    let global = ["--root", root.to_str().unwrap(), "--runroot", state.to_str().unwrap(), "--storage-driver", "vfs"];
    let podman = |arguments: &[&str]| run("podman", &[&global[..], arguments].concat(), folder.path());
    let name = |rest: &str| format!("{}/{rest}", host.address);
    if podman(&["pull", "-q", "--tls-verify=false", &name("a/b:v1")]).is_none() {
        return;
    }
    podman(&["tag", &name("a/b:v1"), &name("c:new")]).unwrap();
    podman(&["push", "-q", "--tls-verify=false", &name("c:new")]).unwrap();
    assert_eq!(tags(&host, "c"), json!(["new"]));
    podman(&["rmi", "-fa"]).unwrap();
    podman(&["pull", "-q", "--tls-verify=false", &format!("{}/a/b@{digest}", host.address)]).unwrap();
    podman(&["rmi", "-fa"]).unwrap();
}

/// A daemon that ends with the test.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.0.wait();
    }
}

/// `None`, and a visible word, where the program is missing. Waits for its socket.
fn daemon(program: &str, arguments: &[&str], folder: &Path, socket: &Path) -> Option<Daemon> {
    let log = fs::File::create(folder.join("log")).unwrap();
    let mut command = Command::new(program);
    command.args(arguments).env("HOME", folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let Ok(child) = command.spawn() else {
        eprintln!("skipped: needs {program}");
        return None;
    };
    let mut daemon = Daemon(child);
    let until = Instant::now() + Duration::from_secs(60);
    // A program of somebody else, which has no other way to say that it is ready.
    while std::os::unix::net::UnixStream::connect(socket).is_err() {
        let log = || fs::read_to_string(folder.join("log")).unwrap();
        assert!(daemon.0.try_wait().unwrap().is_none() && Instant::now() < until, "{program}: {}", log());
        std::thread::sleep(Duration::from_millis(50));
    }
    Some(daemon)
}

#[test]
fn containerd() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let host = Host::new();
    let folder = tempfile::tempdir().unwrap();
    image(&host, "a/b", "v1", "hello");
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (root, state, socket) = (path("root"), path("state"), path("socket"));
    let config = path("config.toml");
    fs::write(&config, "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n").unwrap();
    let arguments = ["--config", &config, "--root", &root, "--state", &state, "--address", &socket];
    let Some(_daemon) = daemon("containerd", &arguments, folder.path(), Path::new(&socket)) else { return };
    let ctr = |arguments: &[&str]| run("ctr", &[&["--address", &socket][..], arguments].concat(), folder.path());
    let name = |rest: &str| format!("{}/{rest}", host.address);
    if ctr(&["content", "fetch", "--plain-http", &name("a/b:v1")]).is_none() {
        return;
    }
    ctr(&["images", "tag", &name("a/b:v1"), &name("c:new")]).unwrap();
    ctr(&["images", "push", "--plain-http", &name("c:new")]).unwrap();
    assert_eq!(tags(&host, "c"), json!(["new"]));
}

#[test]
fn docker() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let host = Host::new();
    let folder = tempfile::tempdir().unwrap();
    image(&host, "a/b", "v1", "hello");
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (root, state, pid, config) = (path("root"), path("state"), path("pid"), path("daemon.json"));
    let socket = format!("unix://{}", path("socket"));
    let network = ["--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"];
    let arguments = [
        "--data-root",
        &root,
        "--exec-root",
        &state,
        "--pidfile",
        &pid,
        "-H",
        &socket,
        "--storage-driver",
        "vfs",
        "--config-file",
        &config,
    ];
    fs::write(&config, "{}").unwrap();
    let arguments = [&arguments[..], &network[..]].concat();
    let Some(_daemon) = daemon("dockerd", &arguments, folder.path(), Path::new(&path("socket"))) else { return };
    let docker = |arguments: &[&str]| run("docker", &[&["-H", &socket][..], arguments].concat(), folder.path());
    let name = |rest: &str| format!("{}/{rest}", host.address);
    if docker(&["pull", "-q", &name("a/b:v1")]).is_none() {
        return;
    }
    docker(&["tag", &name("a/b:v1"), &name("c:new")]).unwrap();
    docker(&["push", "-q", &name("c:new")]).unwrap();
    assert_eq!(tags(&host, "c"), json!(["new"]));
    // The layer is taken over from the other repository.
    assert_eq!(host.files().iter().filter(|file| file.starts_with("uploads/")).count(), 0);
}
