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

/// What an image that a bench pulls is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The node service: six layers, 8 500 entries, 287 MB.
    Node,
    /// One layer of 400 MB in a hundred files.
    Large,
    /// Ten layers of 6 000 files each, of three kilobytes on average.
    Small,
}

impl Shape {
    /// The layers, lowest first.
    ///
    /// # Errors
    /// When they cannot be built.
    pub fn layers(self, compression: Compression) -> Result<Vec<Layer>> {
        match self {
            Shape::Node => {
                let app = pack(&[Entry::file("app.js", include_bytes!("../apps/nodeinfo/app.js"))], compression)?;
                let below = debian::layers()?.into_iter();
                let below =
                    below.map(
                        |layer| if compression == layer.compression { Ok(layer) } else { layer::recompressed(&layer, compression) },
                    );
                below.chain([Ok(app)]).collect()
            }
            Shape::Large => {
                let file = |number: u32| Entry::file(&format!("data/{number}"), prose(number, 4 << 20));
                Ok(vec![pack(&[Entry::dir("data")].into_iter().chain((0..100).map(file)).collect::<Vec<_>>(), compression)?])
            }
            Shape::Small => (0..10).map(|layer| pack(&small_files(layer), compression)).collect(),
        }
    }
}

/// A layer of sixty folders with a hundred small files each.
fn small_files(layer: u32) -> Vec<Entry> {
    let folder = move |folder: u32| {
        let path = format!("small/{layer}-{folder}");
        let file = |number: u32| {
            let seed = (layer * 60 + folder) * 100 + number;
            Entry::file(&format!("small/{layer}-{folder}/{number}.txt"), prose(seed, 200 + seed as usize * 7919 % 5800))
        };
        std::iter::once(Entry::dir(&path)).chain((0..100).map(file)).collect::<Vec<_>>()
    };
    std::iter::once(Entry::dir("small")).chain((0..60).flat_map(folder)).collect()
}

/// Text that compresses about as well as programs do, to a little more than a third.
fn prose(seed: u32, length: usize) -> Vec<u8> {
    let mut state = u64::from(seed) << 1 | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u32
    };
    let mut text = Vec::with_capacity(length + 64);
    while text.len() < length {
        let word = next();
        match word % 4 {
            // something that was there before
            0 if text.len() > 4096 => {
                let (back, length) = (word as usize / 4 % 4096 + 1, next() as usize % 24 + 4);
                let start = text.len() - back.max(length);
                text.extend_from_within(start..start + length);
            }
            _ => text.extend(format!("{:x} ", word % 50_000).bytes()),
        }
    }
    text.truncate(length);
    text
}

/// An image of this shape `count` times over, each as other layers with the same files: what a bench pulls needs never be removed. What is
/// compressed in another way has other layers, too: containerd does not fetch what it has unpacked from another blob.
/// Handed to `push` one by one, because each is a hundred megabytes.
///
/// # Errors
/// When the layers cannot be built or `push` fails.
pub fn variants(
    shape: Shape,
    compression: Compression,
    count: usize,
    push: &mut dyn FnMut(usize, &Bundle) -> Result<()>,
) -> Result<()> {
    let layers = shape.layers(compression)?;
    let format = if compression == Compression::Zstd { Format::Oci } else { Format::Docker };
    let first = if compression == Compression::Zstd { count } else { 0 };
    for number in 0..count {
        let variant = first + number;
        let varied = layers.iter().map(|layer| Ok(layer::variants(layer, variant..variant + 1)?.remove(0)));
        let image = Image::new(format, varied.collect::<Result<_>>()?, json!({"Entrypoint": ["node", "app.js"]}));
        push(number, &image.bundle())?;
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
