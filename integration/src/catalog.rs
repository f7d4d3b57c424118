//! Every image that tests, demo and benches use, under the name it is pulled by.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;

use crate::debian::{self, program};
use crate::layer::{self, Compression, Entry, Kind, Layer, pack};
use crate::oci::{Bundle, Format, Image, foreign_architecture, index};

/// The node service of the course notes.
pub const NODEINFO: &str = "smlinux/nodeinfo:v1";
/// nginx with one page.
pub const WEB: &str = "smlinux/web:v1";
/// A Python service.
pub const PYINFO: &str = "smlinux/pyinfo:v1";

/// The three applications, on layers of Debian packages.
///
/// # Errors
/// When those layers cannot be built.
pub fn applications() -> Result<Vec<(&'static str, Bundle)>> {
    let layers = debian::layers()?;
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let image = |below: usize, entries: &[Entry], config| -> Result<Bundle> {
        let mut all = layers[..below].to_vec();
        all.push(pack(entries, Compression::Gzip)?);
        Ok(Image::new(Format::Docker, all, config).bundle())
    };
    let nodeinfo = image(
        5,
        &[Entry::file("app.js", include_bytes!("../apps/nodeinfo/app.js"))],
        json!({"Env": [path], "Entrypoint": ["node", "app.js"], "Cmd": null, "WorkingDir": ""}),
    )?;
    let page = Entry::file("var/www/html/index.html", include_bytes!("../apps/web/index.html"));
    let web = image(
        4,
        &[
            Entry::dir("var"),
            Entry::dir("var/www"),
            Entry::dir("var/www/html"),
            page,
            Entry::dir("var/log"),
            Entry::dir("var/log/nginx"),
        ],
        json!({"Env": [path], "Cmd": ["nginx", "-g", "daemon off;"], "ExposedPorts": {"80/tcp": {}}, "StopSignal": "SIGQUIT"}),
    )?;
    let pyinfo = image(
        3,
        &[Entry::dir("srv"), Entry::file("srv/app.py", include_bytes!("../apps/pyinfo/app.py"))],
        json!({"Env": [path], "Cmd": ["python3", "-u", "app.py"], "WorkingDir": "/srv", "ExposedPorts": {"8000/tcp": {}}}),
    )?;
    Ok(vec![(NODEINFO, nodeinfo), (WEB, web), (PYINFO, pyinfo)])
}

/// The node image `count` times over, each as other layers with the same files: what a bench pulls needs never be removed.
/// Handed to `push` one by one, because each is a hundred megabytes.
///
/// # Errors
/// When the layers cannot be built or `push` fails.
pub fn node_variants(count: usize, push: &mut dyn FnMut(&str, &Bundle) -> Result<()>) -> Result<()> {
    let mut layers = debian::layers()?;
    layers.push(pack(&[Entry::file("app.js", include_bytes!("../apps/nodeinfo/app.js"))], Compression::Gzip)?);
    for number in 0..count {
        let varied = layers.iter().map(|layer| Ok(layer::variants(layer, number..number + 1)?.remove(0)));
        let image = Image::new(Format::Docker, varied.collect::<Result<_>>()?, json!({"Entrypoint": ["node", "app.js"]}));
        push(&format!("smlinux/nodeinfo:n{number}"), &image.bundle())?;
    }
    Ok(())
}

/// The small images: made in memory, in a moment.
///
/// # Errors
/// When busybox or the probe is missing.
pub fn small() -> Result<Vec<(&'static str, Bundle)>> {
    let busybox = busybox(Compression::Gzip)?;
    let probe = probe()?;
    let shell = || json!({"Env": [PATH], "Cmd": ["sh"]});
    let one = |format, layers: &[&Layer], config| Image::new(format, layers.iter().copied().cloned().collect(), config);
    let here = one(Format::Oci, &[&busybox], shell());
    let mut elsewhere = one(Format::Oci, &[&pack(&[Entry::file("foreign", "")], Compression::Gzip)?], shell());
    elsewhere.architecture = foreign_architecture().to_owned();
    let plain = one(Format::Oci, &[&self::busybox(Compression::None)?], shell());
    let zstd = one(Format::Oci, &[&self::busybox(Compression::Zstd)?], shell());
    let probed = one(Format::Oci, &[&probe], json!({"Env": [PATH], "Entrypoint": ["/probe"], "Cmd": ["hostname"]}));
    let configured = one(Format::Docker, &[&busybox, &probe], everything_set());
    // apart from the tree: not every engine takes such entries
    let holes = pack(&[Entry::new("sparse", Kind::Sparse(8 << 20, vec![b'x'; 512]))], Compression::Gzip)?;
    let sparse = one(Format::Oci, &[&busybox, &probe, &holes], shell());
    let tree = Image::new(Format::Oci, [busybox.clone(), probe.clone()].into_iter().chain(tree()?).collect(), shell());
    Ok(vec![
        ("library/busybox:latest", index(&[elsewhere.clone(), here])),
        ("test/foreign:latest", elsewhere.bundle()),
        ("test/foreign-index:latest", index(&[elsewhere])),
        ("test/plain:latest", plain.bundle()),
        ("test/zstd:latest", zstd.bundle()),
        ("test/probe:latest", probed.bundle()),
        ("test/config:latest", configured.bundle()),
        ("test/tree:latest", tree.bundle()),
        ("test/sparse:latest", sparse.bundle()),
    ])
}

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A config that uses what a Dockerfile can say.
fn everything_set() -> serde_json::Value {
    json!({
        "Env": [PATH, "COLOUR=blue", "EMPTY="],
        "Entrypoint": ["/probe", "args"], "Cmd": ["from", "cmd"],
        "User": "app", "WorkingDir": "/srv/deep",
        "Labels": {"maker": "integration", "tier": "test"},
        "StopSignal": "SIGUSR1",
        "ExposedPorts": {"8080/tcp": {}, "53/udp": {}},
    })
}

/// A busybox root file system: the program, a link per applet, accounts.
///
/// # Errors
/// When busybox-static is not installed.
pub fn busybox(compression: Compression) -> Result<Layer> {
    let program = "/bin/busybox";
    let list = Command::new(program).arg("--list-full").output().context("run busybox (apt-get install busybox-static)")?;
    let list = String::from_utf8(list.stdout)?;
    let mut entries: Vec<_> =
        ["bin", "dev", "etc", "home", "proc", "sbin", "sys", "usr", "usr/bin", "usr/sbin", "var"].map(Entry::dir).to_vec();
    entries.push(Entry::dir("root").mode(0o700));
    entries.push(Entry::dir("tmp").mode(0o1777));
    entries.push(Entry::dir("home/app").owner(1000, 1000));
    entries.push(Entry::file("etc/passwd", PASSWD));
    entries.push(Entry::file("etc/group", GROUP));
    entries.push(Entry::new("bin/busybox", Kind::Copy(program.into())).mode(0o755));
    entries.push(Entry::file("bin/not-executable", "#!/bin/sh\n"));
    let applets = list.lines().filter(|path| path.contains("bin/") && !path.ends_with("/busybox"));
    entries.extend(applets.map(|path| Entry::symlink(path, "/bin/busybox")));
    pack(&entries, compression)
}

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n";
const GROUP: &str = "root:x:0:\napp:x:1000:\nextra:x:2000:app\nmore:x:2001:nobody,app\nnogroup:x:65534:\n";

/// The probe, alone: what it needs beside itself is made by the runtime.
fn probe() -> Result<Layer> {
    let entries = [
        Entry::dir("etc"),
        Entry::dir("tmp").mode(0o1777),
        Entry::file("etc/passwd", PASSWD),
        Entry::file("etc/group", GROUP),
        Entry::new("probe", Kind::Copy(program("probe")?)).mode(0o755),
    ];
    pack(&entries, Compression::Gzip)
}

/// Two layers with everything that a layer may hold: the lower one, and one that changes and hides parts of it.
fn tree() -> Result<[Layer; 2]> {
    let long = format!("t/{}/{}", "long-folder-name-".repeat(8), "long-file-name-".repeat(12));
    let folder = long.rsplit_once('/').map_or("", |(folder, _)| folder);
    let lower = [
        Entry::dir("t"),
        Entry::dir("t/hidden"),
        Entry::file("t/hidden/old", "old"),
        Entry::dir("t/opaque"),
        Entry::file("t/opaque/old", "old"),
        Entry::file("t/gone", "gone"),
        Entry::file("t/changed", "lower"),
        Entry::file("t/becomes-folder", "file"),
        Entry::dir("t/kept").mode(0o711).owner(1000, 2000),
        Entry::file("t/kept/file", "kept").mode(0o640).owner(1000, 2000).mtime(1_000_000_000),
        Entry::file("t/setuid", "x").mode(0o4755),
        Entry::file("t/setgid", "x").mode(0o2755),
        Entry::dir("t/sticky").mode(0o1777),
        Entry::hardlink("t/hard", "t/kept/file").mode(0o640).owner(1000, 2000).mtime(1_000_000_000),
        Entry::symlink("t/soft", "kept/file"),
        Entry::symlink("t/absolute", "/etc/passwd"),
        Entry::symlink("t/dangling", "nowhere"),
        Entry::new("t/null", Kind::Device(1, 3)).mode(0o666),
        Entry::new("t/pipe", Kind::Fifo),
        // CAP_NET_RAW, effective, revision 2: capabilities(7)
        Entry::file("t/capable", "x").mode(0o755).xattr("security.capability", &CAP_NET_RAW),
        Entry::file("t/attribute", "x").xattr("user.note", b"kept"),
        Entry::dir(folder),
        Entry::file(&long, "long"),
        Entry::file("t/\u{fc}mlaut", "unicode"),
    ];
    let upper = [
        Entry::whiteout("t/gone"),
        Entry::whiteout("t/hidden"),
        Entry::dir("t/opaque"),
        Entry::opaque("t/opaque"),
        Entry::file("t/opaque/new", "new"),
        Entry::file("t/changed", "upper"),
        Entry::dir("t/becomes-folder"),
        Entry::file("t/becomes-folder/inside", "inside"),
    ];
    Ok([pack(&lower, Compression::Gzip)?, pack(&upper, Compression::Gzip)?])
}

const CAP_NET_RAW: [u8; 20] = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
