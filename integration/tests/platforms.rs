//! Images of several platforms under one name: built, listed, pushed, pulled again, removed.

use std::fs;

use integration::env::Env;
use integration::oci::{architecture, foreign_architecture};
use integration::registry::Registry;

integration::tests![built_for_several, pushed_and_pulled_again, pruned_and_removed, what_does_not_go];

const FILE: &str = "FROM scratch\nARG TARGETARCH\nCOPY f /f\nLABEL for=$TARGETARCH\nCMD [\"/f\"]\n";

/// Platforms of this host and of another processor, as a flag takes them.
fn both() -> String {
    format!("linux/{},linux/{}", foreign_architecture(), architecture())
}

fn built(t: &Env, name: &str) {
    fs::create_dir_all(t.path("context")).expect("a folder");
    fs::write(t.path("context/f"), "text").expect("a file");
    fs::write(t.path("context/Dockerfile"), FILE).expect("a file");
    let said =
        t.rctr(["build", "--progress", "plain", "--platform", &both(), "-t", name, &t.path("context").display().to_string()]);
    said.ok()
        .complains(&[&format!("[linux/{} 2/2] COPY", architecture()), &format!("[linux/{} 2/2] COPY", foreign_architecture())]);
}

fn label(t: &Env, name: &str, platform: &str) -> String {
    let shown =
        t.rctr(["image", "inspect", "--platform", platform, "-f", "{{.Architecture}} {{index .Config.Labels \"for\"}}", name]);
    shown.ok().text().to_owned()
}

fn built_for_several() {
    let t = Env::new();
    built(&t, "several:v1");
    let (own, other) = (architecture(), foreign_architecture());
    assert_eq!(t.inspect("several:v1", "{{.Architecture}}"), own, "the name alone means this host's");
    for platform in [own, other] {
        assert_eq!(label(&t, "several:v1", platform), format!("{platform} {platform}"));
        t.rctr(["history", "-q", "--platform", platform, "several:v1"]).ok().has("<missing>");
    }
    t.rctr(["image", "inspect", "--platform", "linux/riscv64", "several:v1"]).code(125).complains(&[
        "several:v1",
        "linux/riscv64",
        own,
        other,
    ]);
    // One image, however many machines it is for.
    assert_eq!(t.rctr(["images", "-q"]).ok().lines().len(), 1);
    let tree = t.rctr(["images", "--tree"]);
    let lines = tree.ok().lines();
    assert!(lines[0].starts_with("IMAGE ") && lines[1].starts_with("several:v1 ") && lines.len() == 4, "{tree}");
    assert!(lines[2].starts_with("├─ linux/") && lines[3].starts_with("└─ linux/"), "{tree}");
    // a container of the other one
    let id = t.rctr(["create", "--network", "none", "--platform", other, "--pull", "never", "several:v1"]);
    assert_ne!(t.inspect(id.ok().text(), "{{.Image}}"), t.inspect("several:v1", "{{.Id}}"));
    t.rctr(["create", "--platform", "linux/riscv64", "--pull", "never", "several:v1"]).fails(125, &["linux/riscv64", "never"]);
    let tree = t.rctr(["images", "--tree"]);
    let used = tree.ok().lines().iter().filter(|line| line.ends_with(" U")).count();
    assert_eq!(used, 2, "{tree}");
    t.rctr(["rm", id.text()]).ok();
    t.nothing_left();
}

fn pushed_and_pulled_again() {
    let (t, registry) = (Env::new(), Registry::start(false).expect("a registry"));
    let name = format!("{}/several:v1", registry.address);
    built(&t, &name);
    t.rctr(["push", &name]).ok();
    let index = t.rctr(["manifest", "inspect", &name]);
    let platforms: Vec<_> = index.ok().json()["manifests"]
        .as_array()
        .expect("an index")
        .iter()
        .map(|entry| entry["platform"]["architecture"].clone())
        .collect();
    assert_eq!(platforms.len(), 2, "{index}");
    // One of them alone is no index.
    let alone = format!("{}/several:alone", registry.address);
    t.rctr(["tag", &name, &alone]).ok();
    t.rctr(["push", "--platform", foreign_architecture(), &alone]).ok();
    assert!(t.rctr(["manifest", "inspect", &alone]).ok().json()["layers"].is_array());
    t.rctr(["rmi", &name, &alone]).ok();
    t.rctr(["images", "-q"]).ok().says("");
    // What was pulled for one platform is joined by the other.
    t.rctr(["pull", "-q", &name]).ok();
    t.rctr(["image", "inspect", "--platform", foreign_architecture(), &name]).code(125).complains(&[architecture()]);
    t.rctr(["pull", "-q", "--platform", foreign_architecture(), &name]).ok();
    for platform in [architecture(), foreign_architecture()] {
        assert_eq!(label(&t, &name, platform), format!("{platform} {platform}"));
    }
    assert_eq!(t.rctr(["images", "-q"]).ok().lines().len(), 1);
    let archive = t.path("one.tar").display().to_string();
    t.rctr(["save", "--platform", architecture(), "-o", &archive, &name]).ok();
    t.rctr(["rmi", &name]).ok();
    t.rctr(["load", "-i", &archive]).ok();
    assert_eq!(t.inspect(&name, "{{.Architecture}}"), architecture());
    t.nothing_left();
}

fn pruned_and_removed() {
    let t = Env::new();
    built(&t, "several:v1");
    t.rctr(["tag", "several:v1", "several:v2"]).ok();
    // The other platform's image has no name of its own, and is no less wanted for that.
    t.rctr(["image", "prune", "-f"]).ok();
    t.rctr(["rmi", "several:v1"]).ok();
    assert_eq!(label(&t, "several:v2", foreign_architecture()), format!("{0} {0}", foreign_architecture()));
    let id = t.rctr(["create", "--network", "none", "--platform", foreign_architecture(), "several:v2"]);
    // It stays as long as a container needs it.
    t.rctr(["rmi", "several:v2"]).ok();
    t.rctr(["cp", "-q", &format!("{}:/f", id.ok().text()), &t.path("copy").display().to_string()]).ok();
    t.rctr(["rm", id.text()]).ok();
    t.rctr(["image", "prune", "-f"]).ok();
    t.rctr(["builder", "prune", "-af"]).ok();
    for folder in ["layers/sha256", "blobs/sha256", "refs/@"] {
        let left: Vec<_> = fs::read_dir(t.root().join("images").join(folder)).into_iter().flatten().flatten().collect();
        assert!(left.is_empty(), "left in {folder}: {left:?}");
    }
    t.nothing_left();
}

fn what_does_not_go() {
    let t = Env::new();
    fs::create_dir_all(t.path("context")).expect("a folder");
    fs::write(t.path("context/Dockerfile"), "FROM busybox\nRUN true\n").expect("a file");
    let context = t.path("context").display().to_string();
    t.rctr(["build", "--platform", &both(), &context]).fails(125, &["--platform", "--tag"]);
    let tar = ["build", "--platform", &both(), "-t", "x", "-o", "type=tar,dest=x.tar", &context];
    t.rctr(tar).fails(125, &["--platform", "--output"]);
    t.rctr(["build", "--platform", "linux/amd64,no/such/plat/form", "-t", "x", &context]).code(125).complains(&["--platform"]);
    t.nothing_left();
}
