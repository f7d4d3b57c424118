//! Checkpoints, by a program that speaks as criu does: what is asked of it, what is kept, and what goes wrong. And by criu itself, where
//! the kernel can.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use cri::{CheckpointContainerRequest, ContainerState};
use tonic::Code;

use super::asking::*;
use super::node::Node;

integration::tests![a_container_runs_on_after_its_checkpoint, criu_itself_dumps_a_container, what_cannot_be_written_is_told];

/// Leaves out what needs a criu that can dump here.
fn needs_criu() {
    match Command::new("criu").arg("check").output() {
        Err(error) => integration::skip!("criu: {error}"),
        Ok(output) if !output.status.success() => {
            let why = String::from_utf8_lossy(&output.stderr);
            integration::skip!("criu check: {}", why.trim().lines().last().unwrap_or("it failed"))
        }
        Ok(_) => {}
    }
}

/// A noded that finds a criu, or none.
fn node(criu: bool) -> Node {
    let mut n = Node::own("");
    let folder = n.env.path("criu");
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = match criu {
        true => {
            symlink(integration::debian::program("probe").expect("probe"), folder.join("criu")).expect("a link");
            format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default())
        }
        false => folder.display().to_string(),
    };
    n.stop().code(0);
    n.env.set("PATH", &path);
    n.begin();
    n
}

fn request(id: &str, location: &Path) -> CheckpointContainerRequest {
    CheckpointContainerRequest { container_id: id.to_owned(), location: location.display().to_string(), timeout: 30 }
}

fn tar(words: &[&str], archive: &Path) -> String {
    let output = Command::new("tar").args(words).arg("-f").arg(archive).output().expect("tar");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn a_container_runs_on_after_its_checkpoint() {
    let n = node(true);
    let (pod, id) = started(&n, "dumped", "echo in a file > /kept; exec sleep 4321");
    n.env.soon("it has written", || says(&n, &id, "cat /kept") == "in a file");
    let archive = n.env.path("checkpoint.tar");
    n.ok(n.containers().checkpoint_container(request(&id, &archive)));
    assert_eq!(archive.metadata().expect("an archive").permissions().mode() & 0o777, 0o600);
    let names = tar(&["-t"], &archive);
    for name in ["checkpoint/asked.img", "config.dump", "spec.dump", "dump.log", "rootfs-diff.tar"] {
        assert!(names.lines().any(|line| line.trim_start_matches("./") == name), "{name}: {names}");
    }
    let folder = n.env.path("unpacked");
    std::fs::create_dir(&folder).expect("a folder");
    tar(&["-x", "-C", &folder.display().to_string()], &archive);
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect(name);
    // By the numbers of criu's rpc.proto: the process, what runs on, and what of the host is mounted.
    let asked = read("checkpoint/asked.img");
    let pid = n.env.inspect(&id, "{{.State.Pid}}");
    for line in [format!("2={pid}"), "3=1".to_owned(), format!("13=/proc/{pid}/root")] {
        assert!(asked.lines().any(|own| own == line), "{line}: {asked}");
    }
    let path = asked.lines().find_map(|line| line.strip_prefix("PATH=")).unwrap_or_default();
    assert!(path.split(':').any(|folder| folder == "/usr/sbin"), "it finds iptables-restore: {asked}");
    assert!(asked.contains("/etc/resolv.conf") && asked.contains("extRootNetNS"), "{asked}");
    assert!(read("config.dump").contains(&id) && read("spec.dump").contains("ociVersion"));
    assert!(tar(&["-t"], &folder.join("rootfs-diff.tar")).lines().any(|line| line.trim_start_matches("./") == "kept"));
    assert_eq!(status(&n, &id).state, i32::from(ContainerState::ContainerRunning));
    assert_eq!(says(&n, &id, "cat /kept"), "in a file");
    assert!(!n.env.root().join("containers").join(&id).join("checkpoint").exists());
    remove_pod(&n, &pod);
    n.env.nothing_left_soon();
}

fn criu_itself_dumps_a_container() {
    needs_criu();
    let n = Node::own("");
    let (pod, id) = started(&n, "frozen", "i=0; while :; do echo $i > /count; i=$((i+1)); sleep 0.1; done");
    let count = || says(&n, &id, "cat /count").parse::<u64>().unwrap_or(0);
    n.env.soon("it counts", || count() > 1);
    let archive = n.env.path("checkpoint.tar");
    n.ok(n.containers().checkpoint_container(request(&id, &archive)));
    let names = tar(&["-t"], &archive);
    let has = |part: &str| names.lines().any(|line| line.trim_start_matches("./").starts_with(part));
    for part in
        ["checkpoint/inventory.img", "checkpoint/pstree.img", "checkpoint/core-1.img", "checkpoint/pages-", "rootfs-diff.tar"]
    {
        assert!(has(part), "{part}: {names}");
    }
    let before = count();
    n.env.soon("it counts on", || count() > before);
    remove_pod(&n, &pod);
    n.env.nothing_left_soon();
}

fn what_cannot_be_written_is_told() {
    let n = node(true);
    let archive = n.env.path("checkpoint.tar");
    let fails = |n: &Node, code: Code, request: CheckpointContainerRequest| {
        let before = archive.exists();
        let message = n.fails(code, n.containers().checkpoint_container(request));
        assert_eq!(archive.exists(), before, "{message}");
        message
    };
    let (pod, id) = started(&n, "undumpable", "exec sh -c 'sleep 4321; : undumpable'");
    let why = fails(&n, Code::Internal, request(&id, &archive));
    assert!(why.contains("criu failed") && why.contains("Error (fake): it cannot be dumped"), "{why}");
    assert_eq!(status(&n, &id).state, i32::from(ContainerState::ContainerRunning));
    fails(&n, Code::InvalidArgument, request(&id, Path::new("checkpoint.tar")));
    fails(&n, Code::InvalidArgument, CheckpointContainerRequest { timeout: -1, ..request(&id, &archive) });
    fails(&n, Code::NotFound, request(&"7".repeat(64), &archive));
    std::fs::write(&archive, "somebody's").expect("a file");
    assert!(fails(&n, Code::Internal, request(&id, &archive)).contains("checkpoint.tar"));
    assert_eq!(std::fs::read_to_string(&archive).expect("a file"), "somebody's");
    std::fs::remove_file(&archive).expect("removed");
    stop(&n, &id, 0);
    fails(&n, Code::FailedPrecondition, request(&id, &archive));
    remove_pod(&n, &pod);
    let n = node(false);
    let (pod, id) = started(&n, "without", SLEEP);
    let why = n.fails(Code::FailedPrecondition, n.containers().checkpoint_container(request(&id, &archive)));
    assert!(why.contains("there is no program criu"), "{why}");
    remove_pod(&n, &pod);
}
