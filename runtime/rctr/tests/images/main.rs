//! The verbs about images, from the command line to the store. Need root, as the command does.

#![allow(clippy::print_stderr, reason = "a skipped test says so")]

mod policy;
mod registry;
mod store;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use images::Digest;

struct Host {
    folder: tempfile::TempDir,
}

/// What a command did.
struct Done {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Host {
    /// `None`, and a visible word, without root.
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root");
            return None;
        }
        Some(Host { folder: tempfile::tempdir().unwrap() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn rctr(&self, arguments: &[&str]) -> Done {
        self.fed(arguments, b"")
    }

    /// With bytes on standard input.
    fn fed(&self, arguments: &[&str], input: &[u8]) -> Done {
        self.run(Command::new(env!("CARGO_BIN_EXE_rctr")), arguments, input)
    }

    fn run(&self, mut command: Command, arguments: &[&str], input: &[u8]) -> Done {
        command.args(arguments).env("RCTR_ROOT", self.path("root")).env("RCTR_RUN", self.path("run"));
        command.env("CONTAINERS_REGISTRIES_CONF", self.path("registries.conf"));
        command.env("DOCKER_CONFIG", self.path("docker")).env_remove("REGISTRY_AUTH_FILE").env_remove("XDG_RUNTIME_DIR");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // It may end without having read all.
        let _ = child.stdin.take().unwrap().write_all(input);
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Done { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Of a command that must work.
    fn out(&self, arguments: &[&str]) -> String {
        let done = self.rctr(arguments);
        assert_eq!(done.code, Some(0), "{arguments:?}: {}", done.err);
        done.out
    }

    fn load(&self, name: &str) {
        let path = self.path("archive.tar");
        fs::write(&path, archive(name)).unwrap();
        let out = self.out(&["load", "--quiet", "--input", path.to_str().unwrap()]);
        assert_eq!(out, format!("Loaded image: {name}\n"));
    }
}

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    files.iter().map(|(name, bytes)| member(name, bytes)).collect::<Vec<_>>().concat().into_iter().chain([0; 1024]).collect()
}

/// A file as tar has it (ustar).
fn member(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut block = vec![0_u8; 512];
    let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", bytes.len()));
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block.extend_from_slice(bytes);
    block.resize(block.len().next_multiple_of(512), 0);
    block
}

/// Docker's form, with two layers of 3 and 2000 bytes.
fn archive(name: &str) -> Vec<u8> {
    let layers = [tar(&[("small", b"abc")]), tar(&[("large", &[b'x'; 2000])])];
    let ids: Vec<_> = layers.iter().map(|layer| Digest::sha256(layer)).collect();
    let config = serde_json::json!({
        "os": "linux", "architecture": images::Platform::host().architecture, "created": "2024-01-02T03:04:05Z",
        "config": {"Cmd": ["/bin/x"]}, "rootfs": {"type": "layers", "diff_ids": ids},
        "history": [{"created_by": "ADD small"}, {"created_by": "ENV a=b", "empty_layer": true}, {"created_by": "ADD large"}],
    });
    let list = serde_json::json!([{"Config": "config", "RepoTags": [name], "Layers": ["0.tar", "1.tar"]}]);
    let (config, list) = (config.to_string(), list.to_string());
    tar(&[("0.tar", &layers[0]), ("1.tar", &layers[1]), ("config", config.as_bytes()), ("manifest.json", list.as_bytes())])
}

#[test]
fn names_come_and_go() {
    let Some(host) = Host::new() else { return };
    host.load("a/b:1");
    let id = host.out(&["image", "inspect", "--format", "{{.Id}}", "a/b:1"]);
    host.out(&["tag", "a/b:1", "localhost:5000/c"]);
    host.out(&["image", "tag", &id[7..19], "d:2"]);
    let names = host.out(&["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]);
    assert_eq!(names, "a/b:1\nd:2\nlocalhost:5000/c:latest\n");
    assert_eq!(host.out(&["image", "inspect", "-f", "{{.Id}}", "localhost:5000/c"]), id);
    for (arguments, said) in [
        (&["tag", "none", "x"][..], "rctr: no such image: none"),
        (&["tag", "d:2", "X"], "invalid reference \"X\""),
        (&["tag", "d:2", &format!("x@{}", id.trim())], "a name with a digest is no tag"),
        (&["push", "none"], "rctr: no such image: docker.io/library/none:latest"),
        (&["save", "none"], "rctr: no such image: none"),
    ] {
        let done = host.rctr(arguments);
        assert!(done.code == Some(125) && done.out.is_empty() && done.err.contains(said), "{arguments:?}: {}", done.err);
    }
    assert_eq!(host.out(&["rmi", "a/b:1"]), "Untagged: a/b:1\n");
    assert!(host.rctr(&["image", "prune"]).err.contains("--force"), "nobody is there to ask");
    assert_eq!(host.out(&["image", "prune", "-f"]), "Total reclaimed space: 0B\n");
    let pruned = host.out(&["image", "prune", "-f", "--all"]);
    assert!(pruned.starts_with("Deleted Images:\nuntagged: d:2\nuntagged: localhost:5000/c:latest\ndeleted: sha256:"), "{pruned}");
    assert!(pruned.ends_with("\n\nTotal reclaimed space: 2kB\n"), "{pruned}");
    assert_eq!(host.out(&["images", "-q"]), "");
}

#[test]
fn how_it_was_made() {
    let Some(host) = Host::new() else { return };
    host.load("a:1");
    let rows = host.out(&["history", "--format", "{{.CreatedBy}} {{.Size}} {{.ID}}", "a:1"]);
    let id = host.out(&["images", "-q"]);
    assert_eq!(rows, format!("ADD large 2kB {}\nENV a=b 0B <missing>\nADD small 3B <missing>\n", id.trim()));
    assert_eq!(host.out(&["history", "-q", "a:1"]), format!("{}\n<missing>\n<missing>\n", id.trim()));
    let head = host.out(&["history", "a:1"]);
    assert_eq!(head.lines().next().unwrap(), "IMAGE          CREATED   CREATED BY   SIZE      COMMENT", "{head}");
    assert!(host.out(&["image", "history", "-H=false", "a:1"]).contains("2000"));
}

#[test]
fn saved_and_loaded_through_pipes() {
    let Some(host) = Host::new() else { return };
    host.load("a:1");
    let path = host.path("saved.tar");
    host.out(&["save", "-o", path.to_str().unwrap(), "a:1"]);
    let id = host.out(&["images", "-q", "--no-trunc"]);
    host.out(&["rmi", "a:1"]);
    let done = host.fed(&["image", "load", "-q"], &fs::read(&path).unwrap());
    assert_eq!((done.code, done.out.as_str()), (Some(0), "Loaded image: a:1\n"), "{}", done.err);
    assert_eq!(host.out(&["images", "-q", "--no-trunc"]), id);
    let done = host.fed(&["load"], b"no archive");
    assert!(done.code == Some(125) && done.err.starts_with("rctr: image archive: "), "{}", done.err);
    assert!(host.rctr(&["load", "-i", "/no/such"]).err.contains("/no/such"));
}

#[test]
fn imported_root_file_systems() {
    let Some(host) = Host::new() else { return };
    let root = tar(&[("etc-name", b"x"), ("large", &[b'y'; 3000])]);
    let file = host.path("root.tar");
    fs::write(&file, &root).unwrap();
    let file = file.to_str().unwrap();
    let changes = ["-c", "ENV A=1", "-c", "CMD [\"/x\", \"$A\"]", "-c", "WORKDIR /w"];
    let id = host.out(&[&["import", "-q", "-m", "note"], &changes[..], &[file, "a/b:1"]].concat());
    assert_eq!(host.out(&["images", "-q", "--no-trunc"]), id);
    let shown = |format: &str| host.out(&["image", "inspect", "-f", format, "a/b:1"]);
    assert_eq!(shown("{{.Config.Env}} {{.Config.Cmd}} {{.Config.WorkingDir}}"), "[A=1] [/x $A] /w\n");
    assert_eq!(host.out(&["history", "--format", "{{.Comment}}", "a/b:1"]), "note\n");
    // From a pipe, without a name, and saved again.
    let done = host.fed(&["image", "import", "-q", "-"], &root);
    assert_eq!(done.code, Some(0), "{}", done.err);
    host.out(&["save", "-o", host.path("saved.tar").to_str().unwrap(), done.out.trim()]);
    let left = host.out(&["images", "-q"]);
    for (arguments, input, said) in [
        (&["import", "-c", "RUN x", file][..], &b""[..], "use one of CMD"),
        (&["import", "-c", "EXPOSE x", file], b"", "rctr: invalid change \"EXPOSE x\": a port is a number from 1 to 65535"),
        (&["import", "/no/such"], b"", "rctr: open /no/such: No such file"),
        (&["import", "https://x/y"], b"", "addresses are not fetched"),
        (&["import", file, "A"], b"", "invalid reference \"A\""),
        (&["import", "-"], b"no archive", "unpack layer"),
        (&["import", "-"], b"\xfd7zXZ\0", "rctr: image archive: xz data: unexpected end of file"),
        (&["load"], b"BZh9", "rctr: image archive: bzip2 data: unexpected end of file"),
    ] {
        let done = host.fed(arguments, input);
        assert!(done.code == Some(125) && done.out.is_empty() && done.err.contains(said), "{arguments:?}: {}", done.err);
    }
    assert_eq!(host.out(&["images", "-q"]), left);
}

#[test]
fn a_login_that_nobody_verified_is_not_kept() {
    let Some(host) = Host::new() else { return };
    // Nothing listens on this port: it belongs to a socket that does not.
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let server = socket.local_addr().unwrap().to_string();
    let done = host.fed(&["login", "-u", "me", "--password-stdin", &server], b"secret\n");
    assert_eq!(done.code, Some(125));
    let said = format!("rctr: log in to {server}: connection refused: is the registry running there?\n");
    assert_eq!(done.err, said);
    let done = host.rctr(&["login", "-u", "me", "-p", "secret", &server]);
    assert!(done.err.starts_with("rctr: WARNING: a password on the command line") && !done.err.contains("secret"), "{}", done.err);
    assert!(host.rctr(&["login", &server]).err.contains("--password-stdin"));
    assert!(!host.path("docker").exists());
    assert_eq!(host.out(&["logout", &server]), format!("Not logged in to {server}\n"));
}
