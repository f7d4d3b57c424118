//! Bad input: one line that says what failed, for what, why, and what to do; and nothing left behind.

use std::process::Command;

use integration::env::{Env, Running, world};
use integration::fake::{Fake, Fault};
use integration::layer::{Compression, Entry, Layer, pack};
use integration::oci::{Bundle, Document, Format, Image};
use serde_json::json;

integration::tests![
    unknown_image,
    unknown_tag,
    unknown_digest,
    unknown_host,
    nobody_listens,
    bad_references,
    digest_of_a_layer_does_not_match,
    digest_of_a_manifest_does_not_match,
    diff_id_does_not_match,
    truncated_layer,
    connection_that_always_breaks,
    layer_longer_than_promised,
    manifest_of_five_megabytes,
    documents_of_rubbish,
    other_platform,
    no_space_left,
    a_bomb_ends_with_the_disk,
    name_in_use,
    command_not_found,
    command_not_executable,
    not_root,
    no_cgroup_mounted,
    kernel_without_overlay,
    unknown_flags_and_verbs,
    image_without_a_command,
];

fn here(name: &str) -> String {
    format!("{}/{name}", world().registry.address)
}

/// The line for a pull and for a run of it, and nothing left of either.
fn pull_fails(t: &Env, name: &str, parts: &[&str]) {
    t.rctr(["pull", name]).complains(parts).code(125);
    t.rctr(["pull", "-q", name]).fails(125, parts);
    t.nothing_left();
    t.rctr(["create", name, "true"]).code(125).complains(parts).says("");
    t.rctr(["images", "-q"]).ok().says("");
    t.nothing_left();
}

fn unknown_image() {
    let t = Env::new();
    pull_fails(&t, &here("no/such-image"), &["no/such-image", "404"]);
}

fn unknown_tag() {
    let t = Env::new();
    pull_fails(&t, &here("test/probe:v99"), &["test/probe:v99", "404"]);
}

fn unknown_digest() {
    let t = Env::new();
    let digest = format!("sha256:{}", "0".repeat(64));
    pull_fails(&t, &here(&format!("test/probe@{digest}")), &[&digest, "404"]);
}

fn unknown_host() {
    let t = Env::new();
    pull_fails(&t, "registry.invalid/some/image", &["registry.invalid"]);
}

fn nobody_listens() {
    let t = Env::new();
    let port = crate::ports::free_port();
    let host = format!("127.0.0.1:{port}");
    pull_fails(&t, &format!("{host}/some/image"), &[&host, "refused"]);
}

fn bad_references() {
    let t = Env::new();
    for bad in ["Upper/Case", "a//b", "image:", "image@sha256:short", ":tag", "", "a b", "../../etc", "image:tag:tag"] {
        t.rctr(["pull", bad]).fails(125, &[bad]);
        t.rctr(["run", "--rm", bad, "true"]).code(125).says("");
    }
    t.nothing_left();
}

fn fake() -> Fake {
    Fake::start().expect("a registry")
}

fn layer() -> Layer {
    pack(&[Entry::file("x", vec![b'x'; 300_000])], Compression::Gzip).expect("a layer")
}

fn image(layer: &Layer) -> Bundle {
    Image::new(Format::Oci, vec![layer.clone()], json!({"Cmd": ["/x"]})).bundle()
}

fn digest_of_a_layer_does_not_match() {
    let (t, fake) = (Env::new(), fake());
    let layer = layer();
    let name = fake.add("bad/layer:v1", &image(&layer));
    let mut bytes = layer.data.read().expect("bytes");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fake.fault(&layer.digest, Fault::Bytes(bytes));
    pull_fails(&t, &name, &["bad/layer", &layer.digest[..19]]);
}

fn digest_of_a_manifest_does_not_match() {
    let (t, fake) = (Env::new(), fake());
    let bundle = image(&layer());
    let tagged = fake.add("bad/manifest:v1", &bundle);
    let digest = bundle.top().digest.clone();
    let other = image(&pack(&[Entry::file("y", "")], Compression::Gzip).expect("a layer")).top().bytes.clone();
    fake.fault(&digest, Fault::Bytes(other));
    let (name, _) = tagged.rsplit_once(':').expect("a tag");
    pull_fails(&t, &format!("{name}@{digest}"), &[&digest[..19]]);
}

fn diff_id_does_not_match() {
    let (t, fake) = (Env::new(), fake());
    let lying = Layer { diff_id: format!("sha256:{}", "1".repeat(64)), ..layer() };
    let name = fake.add("bad/diff:v1", &image(&lying));
    pull_fails(&t, &name, &["bad/diff", "11111111"]);
}

fn truncated_layer() {
    let (t, fake) = (Env::new(), fake());
    let layer = layer();
    let name = fake.add("bad/short:v1", &image(&layer));
    let mut half = layer.data.read().expect("bytes");
    half.truncate(half.len() / 2);
    fake.fault(&layer.digest, Fault::Bytes(half));
    pull_fails(&t, &name, &["bad/short"]);
}

fn connection_that_always_breaks() {
    let (t, fake) = (Env::new(), fake());
    let layer = layer();
    let name = fake.add("bad/broken:v1", &image(&layer));
    fake.fault(&layer.digest, Fault::BreakAfter(0));
    t.rctr(["pull", "-q", &name]).code(125).complains(&["bad/broken"]).says("");
    t.nothing_left();
}

fn layer_longer_than_promised() {
    let (t, fake) = (Env::new(), fake());
    let layer = layer();
    let name = fake.add("bad/long:v1", &image(&layer));
    let mut bytes = layer.data.read().expect("bytes");
    bytes.extend([0; 100_000]);
    fake.fault(&layer.digest, Fault::Bytes(bytes));
    pull_fails(&t, &name, &["bad/long"]);
}

fn manifest_of_five_megabytes() {
    let (t, fake) = (Env::new(), fake());
    let mut bundle = image(&layer());
    let mut bytes = bundle.top().bytes.clone();
    bytes.resize(5 << 20, b' ');
    bundle.documents = vec![Document::new(&bundle.top().media_type, bytes)];
    let name = fake.add("bad/huge:v1", &bundle);
    pull_fails(&t, &name, &["bad/huge", "manifest"]);
}

fn documents_of_rubbish() {
    let t = Env::new();
    let oci = "application/vnd.oci.image.manifest.v1+json";
    for (number, (kind, text)) in [
        (oci, "no JSON at all"),
        (oci, "{}"),
        (oci, r#"{"schemaVersion":1,"layers":[]}"#),
        (oci, r#"{"schemaVersion":2,"config":{"mediaType":"x","digest":"../../x","size":1},"layers":[]}"#),
        (oci, r#"{"schemaVersion":2,"config":{"mediaType":"x","digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000","size":-5},"layers":[]}"#),
        ("application/vnd.oci.image.index.v1+json", r#"{"schemaVersion":2,"manifests":[]}"#),
        ("text/html", "<html>log in first</html>"),
    ]
    .into_iter()
    .enumerate()
    {
        let fake = fake();
        let bundle = Bundle { blobs: vec![], documents: vec![Document::new(kind, text.as_bytes().to_vec())] };
        let name = fake.add(&format!("bad/rubbish:v{number}"), &bundle);
        pull_fails(&t, &name, &["bad/rubbish"]);
    }
    // a config that is no config
    let fake = fake();
    let mut bundle = image(&layer());
    let config = bundle.blobs.pop().expect("a config");
    let name = fake.add("bad/config:v1", &bundle);
    fake.fault(&config.digest, Fault::Status(500, vec![], String::new(), usize::MAX));
    pull_fails(&t, &name, &["bad/config"]);
}

fn other_platform() {
    let t = Env::new();
    let foreign = integration::oci::foreign_architecture();
    for name in ["test/foreign", "test/foreign-index"] {
        pull_fails(&t, &here(name), &[name, &format!("linux/{foreign}"), "--platform"]);
    }
    t.rctr(["pull", "--platform", "plan9/mips", &here("test/probe")]).code(125).complains(&["plan9/mips"]);
    t.rctr(["pull", "--platform", "linux/", &here("test/probe")]).code(125).complains(&["linux/"]);
    t.nothing_left();
}

fn no_space_left() {
    pull_fills_the_disk("busybox", "busybox");
}

/// A few kilobytes that become more than there is room for.
fn a_bomb_ends_with_the_disk() {
    let fake = fake();
    let bomb = pack(&[Entry::file("bomb", vec![b'0'; 64 << 20])], Compression::Gzip).expect("a layer");
    assert!(bomb.data.read().expect("bytes").len() < 1_000_000);
    pull_fills_the_disk(&fake.add("bad/bomb:v1", &image(&bomb)), "bad/bomb");
}

/// A pull into a store of 1.5 MB ends with one line, and leaves nothing.
fn pull_fills_the_disk(name: &str, shown: &str) {
    let t = Env::new();
    let root = t.root();
    std::fs::create_dir(&root).expect("a folder");
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1500k", "none"]).arg(&root).status().expect("mount");
    assert!(mount.success());
    let pulled = t.rctr(["pull", "-q", name]);
    let left = t.left();
    let unmount = Command::new("umount").arg(&root).status().expect("umount");
    pulled.fails(125, &[shown, "no space"]);
    assert!(unmount.success());
    let mine = format!("mount {}", root.display());
    assert!(left.iter().all(|thing| *thing == mine), "left behind: {left:?}");
    t.nothing_left();
}

fn name_in_use() {
    let t = Env::new();
    let id = t.start(["--network", "none", "--name", "app", "test/probe", "sleep"]);
    for verb in [&["create"][..], &["run", "--rm"], &["run", "-d"]] {
        let again = t.rctr(verb.iter().chain(&["--name", "app", "test/probe", "out", "x"]));
        again.fails(125, &["app", &id[..12], "in use"]);
    }
    assert_eq!(t.rctr(["ps", "-aq"]).lines().len(), 1);
    t.rctr(["rm", "-f", "app"]).ok();
    t.nothing_left();
}

fn command_not_found() {
    let t = Env::new();
    t.rctr(["pull", "-q", "busybox"]).ok();
    for network in ["none", "bridge"] {
        for command in ["no-such-program", "/no/such/program"] {
            t.rctr(["run", "--rm", "--network", network, "busybox", command]).code(127).complains(&[command]).says("");
            t.nothing_left();
        }
    }
    // without --rm the container stays, to be looked at
    t.rctr(["run", "--name", "app", "busybox", "no-such-program"]).fails(127, &["no-such-program"]);
    assert_eq!(t.inspect("app", "{{.State.Running}} {{.State.ExitCode}}"), "false 127");
    t.rctr(["run", "-d", "busybox", "no-such-program"]).code(127);
    t.remove_all();
    t.nothing_left();
}

fn command_not_executable() {
    let t = Env::new();
    t.rctr(["pull", "-q", "busybox"]).ok();
    for command in ["/bin/not-executable", "/etc"] {
        t.rctr(["run", "--rm", "busybox", command]).fails(126, &[command]);
        t.nothing_left();
    }
    // executable, but no program
    let script = "printf rubbish > /x; chmod 755 /x; sleep 1000";
    let id = t.start(["busybox", "sh", "-c", script]);
    t.soon("the file is there", || t.rctr(["exec", &id, "test", "-x", "/x"]).code == 0);
    t.rctr(["exec", &id, "/x"]).fails(126, &["/x"]);
    t.remove_all();
    t.nothing_left();
}

/// In a user namespace without a mapping: not root, whatever the files allow.
fn not_root() {
    let t = Env::new();
    t.rctr(["pull", "-q", "busybox"]).ok();
    for words in [&["run", "--rm", "busybox", "true"][..], &["pull", "test/probe"], &["ps"]] {
        let mut command = t.command("unshare");
        command.arg("--user").arg(&world().rctr).args(words);
        let output = Running::start(command).finish();
        // Who is not root has folders of its own, and takes no others.
        output.code(125).complains(&[t.run().to_str().expect("text"), "open to others"]).says("");
        assert!(output.stderr.starts_with("rctr: ") && output.stderr.lines().count() <= 2, "{output}");
    }
    t.rctr(["version"]).ok();
    t.nothing_left();
}

fn no_cgroup_mounted() {
    let t = Env::new();
    t.rctr(["pull", "-q", "busybox"]).ok();
    let mut command = t.command("unshare");
    command.args(["--mount", "sh", "-c", "umount -R /sys/fs/cgroup && exec \"$@\"", "sh"]).arg(&world().rctr);
    command.args(["run", "--rm", "busybox", "true"]);
    Running::start(command).finish().fails(125, &["cgroup"]);
    t.nothing_left();
}

/// What a kernel without overlayfs answers, by way of a filter.
fn kernel_without_overlay() {
    let t = Env::with_driver("tree");
    t.rctr(["pull", "-q", "busybox"]).ok();
    let mut command = t.command(integration::debian::program("fixture").expect("the fixture program"));
    command.args(["refuse", "fsopen"]).arg(&world().rctr).args(["run", "--rm", "busybox", "true"]);
    Running::start(command).finish().fails(125, &["overlay"]);
    t.nothing_left();
}

fn unknown_flags_and_verbs() {
    let t = Env::new();
    t.rctr(["run", "--colour", "red", "busybox"]).code(125).says("").complains(&["--colour"]);
    t.rctr(["dance"]).code(125).says("").complains(&["dance"]);
    t.rctr(["run"]).code(125).says("");
    t.rctr(["run", "--memory"]).code(125).says("");
}

fn image_without_a_command() {
    let (t, fake) = (Env::new(), fake());
    let bundle = Image::new(Format::Oci, vec![layer()], json!({})).bundle();
    let name = fake.add("no/command:v1", &bundle);
    t.rctr(["pull", "-q", &name]).ok();
    t.rctr(["run", "--rm", &name]).fails(125, &["no/command", "command"]);
    t.nothing_left();
}
