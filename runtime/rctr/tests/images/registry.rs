//! `rctr registry serve`, and the other verbs against it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

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

/// Another image in the registry is taken, and a registry that is not there is no reason to fail.
#[test]
fn newer_ones_are_pulled() {
    let Some(host) = Host::new() else { return };
    let mut registry = Registry::serve(&host, &[]);
    let name = format!("{}/a/b:1", registry.address);
    let create = |name: &str| host.rctr(&["create", "--pull", "newer", "-q", name, "/x"]);
    let image = |name: &str| host.out(&["inspect", "-f", "{{.Id}}", name]);
    host.load(&name);
    host.out(&["push", "-q", &name]);
    let first = image(&name);
    host.out(&["commit", "-c", "LABEL a=b", create(&name).out.trim(), "changed"]);
    host.out(&["tag", "changed", &name]);
    host.out(&["push", "-q", &name]);
    // Here is the old one, there the new one.
    host.load(&name);
    assert_eq!(image(&name), first);
    host.out(&["create", "-q", &name, "/x"]);
    assert_eq!(image(&name), first);
    let made = create(&name);
    assert_eq!((made.code, image(&name)), (Some(0), image("changed")), "{}", made.err);
    assert_eq!(registry.end(), Some(0));
    let made = create(&name);
    assert_eq!(made.code, Some(0), "{}", made.err);
    assert!(made.err.contains("taking the one that is here"), "{}", made.err);
    let missing = create(&format!("{}/a/c:1", registry.address));
    assert_eq!((missing.code, missing.out.as_str()), (Some(125), ""), "{}", missing.err);
}

/// A registry answers what is asked through a proxy just as well.
#[test]
fn through_a_proxy() {
    let Some(host) = Host::new() else { return };
    let registry = Registry::serve(&host, &[]);
    let name = format!("{}/a/b:1", registry.address);
    host.load(&name);
    host.out(&["push", "-q", &name]);
    let config = "[[registry]]\nlocation = 'r.invalid'\ninsecure = true\n";
    std::fs::write(host.path("registries.conf"), config).unwrap();
    let pull = |variable: &str, none: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rctr"));
        command.env(variable, format!("http://{}", registry.address)).env("no_proxy", none);
        host.run(command, &["pull", "-q", "r.invalid/a/b:1"], b"")
    };
    for variable in ["http_proxy", "HTTP_PROXY", "ALL_PROXY"] {
        let done = pull(variable, "");
        assert_eq!((done.code, done.out.as_str()), (Some(0), "r.invalid/a/b:1\n"), "{variable}: {}", done.err);
    }
    assert_eq!(pull("http_proxy", "r.invalid").code, Some(125));
}

/// A registry without certificates is reached when that is asked for.
#[test]
fn without_certificates() {
    let Some(host) = Host::new() else { return };
    let registry = Registry::serve(&host, &[]);
    let name = format!("{}/a/b:1", registry.address);
    host.load(&name);
    host.out(&["push", "-q", &name]);
    let pull = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rctr"));
        command.env("http_proxy", format!("http://{}", registry.address));
        host.run(command, &[&["pull", "-q"], more, &["r.invalid/a/b:1"]].concat(), b"")
    };
    assert_eq!((pull(&[]).code, pull(&["--tls-verify"]).code), (Some(125), Some(125)));
    let done = pull(&["--tls-verify=false"]);
    assert_eq!((done.code, done.out.as_str()), (Some(0), "r.invalid/a/b:1\n"), "{}", done.err);
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
    assert!(done.err == "rctr: --htpasswd: there is no file /no/such\n", "{}", done.err);
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

#[test]
fn lists_of_platforms() {
    let Some(host) = Host::new() else { return };
    let registry = Registry::serve(&host, &[]);
    let name = |rest: &str| format!("{}/{rest}", registry.address);
    let file = host.path("root.tar");
    std::fs::write(&file, super::tar(&[("file", b"x")])).unwrap();
    for (platform, tag) in [("linux/amd64", "m/one:amd64"), ("linux/arm64", "m/two:arm64")] {
        host.out(&["import", "-q", "--platform", platform, file.to_str().unwrap(), &name(tag)]);
        host.out(&["push", "-q", &name(tag)]);
    }
    let (list, one, two) = (name("m/all:1"), name("m/one:amd64"), name("m/two:arm64"));
    assert_eq!(host.out(&["manifest", "create", &list, &one]), format!("Created manifest list {list}\n"));
    let done = host.rctr(&["manifest", "create", &list, &two]);
    assert_eq!(done.err, format!("rctr: manifest list {list} is there already: continue it with --amend, or remove it\n"));
    host.out(&["manifest", "create", "--amend", &list, &two]);
    host.out(&["manifest", "annotate", "--variant", "v8", "--annotation", "a=b", &list, &two]);
    let shown: Value = serde_json::from_str(&host.out(&["manifest", "inspect", &list])).unwrap();
    let platforms: Vec<&Value> = shown["manifests"].as_array().unwrap().iter().map(|entry| &entry["platform"]).collect();
    assert_eq!(
        platforms,
        [&json!({"architecture": "amd64", "os": "linux"}), &json!({"architecture": "arm64", "os": "linux", "variant": "v8"})]
    );
    assert_eq!(shown["manifests"][1]["annotations"], json!({"a": "b"}));
    let digest = host.out(&["manifest", "push", "-q", "--purge", &list]);
    assert!(host.rctr(&["manifest", "rm", &list]).err.contains("no such manifest list"));
    assert!(!host.path("root/images/lists").exists(), "no folder is left");
    // What the registry has is what was shown, and both platforms can be pulled from it.
    assert_eq!(serde_json::from_str::<Value>(&host.out(&["manifest", "inspect", &list])).unwrap(), shown);
    host.out(&["rmi", &one, &two]);
    host.out(&["pull", "-q", "--platform", "linux/arm64/v8", &list]);
    assert_eq!(host.out(&["image", "inspect", "-f", "{{.Architecture}}", &list]), "arm64\n");
    // An index is taken apart.
    host.out(&["manifest", "create", &name("m/again:1"), &format!("{}@{}", name("m/all"), digest.trim())]);
    let again: Value = serde_json::from_str(&host.out(&["manifest", "inspect", &name("m/again:1")])).unwrap();
    assert_eq!(again["manifests"].as_array().unwrap().len(), 2);
    for (arguments, said) in [
        (&["manifest", "annotate", &name("m/again:1"), "none"][..], "has no none"),
        (&["manifest", "annotate", "none", "none"], "no such manifest list: none"),
        (&["manifest", "push", "none"], "no such manifest list: none"),
        (&["manifest", "create", "x", &name("m/none")], "404"),
        (&["manifest", "inspect", &name("m/none")], "404"),
    ] {
        let done = host.rctr(arguments);
        assert!(done.code == Some(125) && done.err.contains(said), "{arguments:?}: {}", done.err);
    }
}

/// An OCI layout with one layer, which may not be given to others.
fn foreign(name: &str) -> Vec<u8> {
    let layer = super::tar(&[("small", b"abc")]);
    let config = json!({
        "os": "linux", "architecture": images::Platform::host().architecture,
        "rootfs": {"type": "layers", "diff_ids": [images::Digest::sha256(&layer)]},
    });
    let entry = |kind: &str, bytes: &[u8]| {
        let kind = format!("application/vnd.oci.image.{kind}");
        json!({"mediaType": kind, "digest": images::Digest::sha256(bytes), "size": bytes.len()})
    };
    let config = config.to_string();
    let layers = [entry("layer.nondistributable.v1.tar", &layer)];
    let manifest = json!({"schemaVersion": 2, "config": entry("config.v1+json", config.as_bytes()), "layers": layers}).to_string();
    let mut top = entry("manifest.v1+json", manifest.as_bytes());
    top["annotations"] = json!({"io.containerd.image.name": name});
    let index = json!({"schemaVersion": 2, "manifests": [top]}).to_string();
    let path = |bytes: &[u8]| format!("blobs/sha256/{}", images::Digest::sha256(bytes).hex());
    let blobs = [&layer, config.as_bytes(), manifest.as_bytes()];
    let paths = blobs.map(path);
    let mut files: Vec<(&str, &[u8])> = paths.iter().map(String::as_str).zip(blobs).collect();
    files.push(("index.json", index.as_bytes()));
    super::tar(&files)
}

#[test]
fn what_may_not_be_given_to_others_stays_here_unless_asked_for() {
    let Some(host) = Host::new() else { return };
    let registry = Registry::serve(&host, &[]);
    let name = |repository: &str| format!("{}/{repository}:1", registry.address);
    std::fs::write(host.path("foreign.tar"), foreign(&name("a"))).unwrap();
    host.out(&["load", "-q", "-i", host.path("foreign.tar").to_str().unwrap()]);
    host.out(&["tag", &name("a"), &name("b")]);
    host.out(&["push", "-q", &name("a")]);
    host.out(&["push", "-q", "--allow-nondistributable-artifacts", &name("b")]);
    host.out(&["copy", "-q", &name("b"), &name("c")]);
    host.out(&["copy", "-q", "--allow-nondistributable-artifacts", &name("b"), &name("d")]);
    let pulls = |repository: &str| {
        host.out(&["image", "prune", "-a", "-f"]);
        let done = host.rctr(&["pull", "-q", &name(repository)]);
        assert!(done.code == Some(0) || done.err.contains("404: no blob"), "{}", done.err);
        done.code == Some(0)
    };
    assert_eq!(["a", "b", "c", "d"].map(pulls), [false, true, false, true]);
}
