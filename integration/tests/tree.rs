//! The root file system: what layers hold arrives as it was packed, and hostile layers stay where they belong.

use std::path::Path;

use integration::env::{Env, Running, world};
use integration::fake::Fake;
use integration::layer::{Compression, Entry, Kind, MTIME, pack};
use integration::oci::{Format, Image};
use serde_json::json;

integration::tests![
    everything_a_layer_can_hold,
    file_capabilities_are_kept,
    holes_stay_holes,
    deep_layers_stack,
    changes_stay_in_the_container,
    no_entry_reaches_outside,
    damaged_sizes_are_refused,
    layers_of_both_kinds_stack,
    layers_are_mounted_once,
    layers_are_mounted_once_by_many_at_once,
    a_kernel_without_erofs,
];

/// Folder trees, and images that are mounted.
const DRIVERS: [&str; 2] = ["tree", "erofs"];

fn everything_a_layer_can_hold() {
    for driver in DRIVERS {
        let t = Env::with_driver(driver);
        let listing = t.rctr(["run", "--rm", "--network", "none", "test/tree", "/probe", "tree", "/t"]);
        listing.ok();
        let long = format!("/t/{}/{}", "long-folder-name-".repeat(8), "long-file-name-".repeat(12));
        let folder = long.rsplit_once('/').expect("a folder").0;
        let time = MTIME;
        let expected = [
            format!("/t/absolute link 777 0:0 11 {time} 1 -> /etc/passwd"),
            format!("/t/attribute file 644 0:0 1 {time} 1"),
            format!("/t/becomes-folder dir 755 0:0 0 {time} 2"),
            format!("/t/becomes-folder/inside file 644 0:0 6 {time} 1"),
            format!("/t/capable file 755 0:0 1 {time} 1"),
            format!("/t/changed file 644 0:0 5 {time} 1"),
            format!("/t/dangling link 777 0:0 7 {time} 1 -> nowhere"),
            "/t/hard file 640 1000:2000 4 1000000000 2".to_owned(),
            format!("/t/kept dir 711 1000:2000 0 {time} 2"),
            "/t/kept/file file 640 1000:2000 4 1000000000 2".to_owned(),
            format!("{folder} dir 755 0:0 0 {time} 2"),
            format!("{long} file 644 0:0 4 {time} 1"),
            format!("/t/null char 666 0:0 0 {time} 1 1:3"),
            format!("/t/opaque dir 755 0:0 0 {time} 2"),
            format!("/t/opaque/new file 644 0:0 3 {time} 1"),
            format!("/t/pipe fifo 644 0:0 0 {time} 1"),
            format!("/t/setgid file 2755 0:0 1 {time} 1"),
            format!("/t/setuid file 4755 0:0 1 {time} 1"),
            format!("/t/soft link 777 0:0 9 {time} 1 -> kept/file"),
            format!("/t/sticky dir 1777 0:0 0 {time} 2"),
            format!("/t/\u{fc}mlaut file 644 0:0 7 {time} 1"),
        ];
        // the folder itself has no entry in the upper layer: its time is nobody's promise
        let lines = listing.lines();
        for (found, wanted) in lines[1..].iter().zip(&expected) {
            assert_eq!(found, wanted);
        }
        assert_eq!(lines.len(), expected.len() + 1, "{listing}");
        let contents = t.rctr(["run", "--rm", "--network", "none", "test/tree", "cat", "/t/changed", "/t/hard", "/t/soft", &long]);
        contents.ok().says("upperkeptkeptlong");
        t.nothing_left();
    }
}

fn file_capabilities_are_kept() {
    for driver in DRIVERS {
        let t = Env::with_driver(driver);
        let probe = ["run", "--rm", "--network", "none", "test/tree", "/probe", "xattr", "/t/capable", "security.capability"];
        t.rctr(probe).ok().says("0100000200200000000000000000000000000000\n");
        t.nothing_left();
    }
}

fn holes_stay_holes() {
    for driver in DRIVERS {
        let t = Env::with_driver(driver);
        let answer = t.rctr(["run", "--rm", "--network", "none", "test/sparse", "stat", "-c", "%s %b", "/sparse"]);
        let size: u64 = (8 << 20) + 512;
        let blocks: u64 = answer.ok().field(&size.to_string()).parse().expect("a count of blocks");
        // to EROFS a file is as large as it is long: the image that it is in has the holes
        let allocated = if driver == "erofs" { largest_image(&t) } else { blocks };
        assert!(allocated < 100, "{answer}, {allocated} blocks");
        t.rctr(["run", "--rm", "--network", "none", "test/sparse", "tail", "-c", "3", "/sparse"]).ok().says("xxx");
        t.nothing_left();
    }
}

/// Blocks of 512 bytes that the largest image of a layer has on disk, of those with a hole.
fn largest_image(t: &Env) -> u64 {
    let layers = std::fs::read_dir(t.root().join("images/layers/sha256")).expect("a folder").flatten();
    let images = layers.filter_map(|layer| layer.path().join("erofs").metadata().ok()).filter(|stat| stat.len() > 8 << 20);
    images.map(|stat| std::os::unix::fs::MetadataExt::blocks(&stat)).max().expect("an image")
}

/// More layers than the options of an old-style overlay mount have room for in one page.
fn deep_layers_stack() {
    for driver in DRIVERS {
        let (t, fake) = (Env::with_driver(driver), Fake::start().expect("a registry"));
        let mut layers = vec![integration::catalog::busybox(Compression::Zstd).expect("busybox")];
        for number in 0..100 {
            let entries = [Entry::file("top", number.to_string()), Entry::file(&format!("layer-{number}"), "")];
            layers.push(pack(&entries, Compression::Gzip).expect("a layer"));
        }
        let name = fake.add("deep/image:v1", &Image::new(Format::Oci, layers, json!({})).bundle());
        let shell = "cat /top; ls / | grep -c layer-";
        t.rctr(["pull", "-q", &name]).ok();
        t.rctr(["run", "--rm", "--network", "none", &name, "/bin/sh", "-c", shell]).ok().says("99100\n");
        t.nothing_left();
    }
}

fn changes_stay_in_the_container() {
    for driver in DRIVERS {
        let t = Env::with_driver(driver);
        let one = t.start(["--network", "none", "--name", "one", "test/tree", "sleep", "1000"]);
        t.rctr(["exec", &one, "sh", "-c", "echo mine > /t/changed; rm -r /t/kept; mkdir /t/new"]).ok();
        t.rctr(["run", "--rm", "--network", "none", "test/tree", "sh", "-c", "cat /t/changed /t/kept/file; ls /t/new"])
            .has("upperkept")
            .lacks("mine");
        t.rctr(["exec", &one, "cat", "/t/changed"]).ok().says("mine\n");
        t.rctr(["rm", "-f", &one]).ok();
        t.nothing_left();
    }
}

/// A layer stays what it is when the driver changes.
fn layers_of_both_kinds_stack() {
    let fake = Fake::start().expect("a registry");
    let base = integration::catalog::busybox(Compression::Gzip).expect("busybox");
    let top =
        pack(&[Entry::file("top", "top\n"), Entry::dir("etc"), Entry::whiteout("bin/cat")], Compression::Gzip).expect("a layer");
    let below = fake.add("both/image:v1", &Image::new(Format::Oci, vec![base.clone()], json!({})).bundle());
    let above = fake.add("both/image:v2", &Image::new(Format::Oci, vec![base, top], json!({})).bundle());
    for (first, second) in [("tree", "erofs"), ("erofs", "tree")] {
        let mut t = Env::with_driver(first);
        t.rctr(["pull", "-q", &below]).ok();
        t.use_driver(second);
        t.rctr(["pull", "-q", &above]).ok();
        let shell = "while read line; do echo $line; done < /top; test -e /bin/cat || echo gone; test -e /bin/ls && echo there";
        t.rctr(["run", "--rm", "--network", "none", &above, "/bin/sh", "-c", shell]).ok().says("top\ngone\nthere\n");
        t.nothing_left();
    }
}

/// Layers are mounted once for all containers, whoever is killed, and go with their image, or when they are not needed.
fn layers_are_mounted_once() {
    let t = Env::with_driver("erofs");
    let one = t.start(["--network", "none", "test/tree", "sleep", "1000"]);
    let layers = t.inspect("test/tree", "{{json .RootFS.Layers}}").split(',').count();
    let kept = |id: &str| {
        t.rctr(["exec", id, "cat", "/t/hard"]).ok().says("kept");
    };
    kept(&one);
    assert_eq!(t.mounted_layers(), layers);
    let two = t.start(["--network", "none", "test/tree", "sleep", "1000"]);
    t.rctr(["kill", &one]).ok();
    t.rctr(["wait", &one]).ok();
    assert_eq!(t.mounted_layers(), layers);
    // In use, then in use by nobody that runs.
    t.rctr(["image", "prune", "-f"]).ok();
    assert_eq!(t.mounted_layers(), layers);
    t.rctr(["rm", "-f", &two]).ok();
    t.rctr(["image", "prune", "-f"]).ok();
    assert_eq!(t.mounted_layers(), 0);
    t.rctr(["start", &one]).ok();
    kept(&one);
    assert_eq!(t.mounted_layers(), layers);
    // By hand: a container that runs has mounts of its own.
    integration::leaks::unmount(&[t.run()]);
    kept(&one);
    t.rctr(["rm", "-f", &one]).ok();
    t.rctr(["run", "--rm", "--network", "none", "test/tree", "cat", "/t/hard"]).ok().says("kept");
    t.nothing_left();
    // Nothing has the image open any more: it can go, and its place is free.
    t.rctr(["rmi", "test/tree"]).ok();
    assert_eq!(t.mounted_layers(), 0);
    let left = |folder: &std::path::Path| {
        std::fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path()).collect::<Vec<_>>()
    };
    assert_eq!(left(&t.root().join("images/layers/sha256")), left(&t.run().join("layers")));
    assert!(left(&t.run().join("layers")).is_empty());
}

/// Many starts at once make one mount of each layer.
fn layers_are_mounted_once_by_many_at_once() {
    let t = Env::with_driver("erofs");
    t.rctr(["pull", "-q", "test/tree"]).ok();
    let layers = t.inspect("test/tree", "{{json .RootFS.Layers}}").split(',').count();
    let running: Vec<_> = (0..16).map(|_| t.spawn(["run", "--rm", "--network", "none", "test/tree", "cat", "/t/hard"])).collect();
    // While layers are unmounted under them.
    for _ in 0..8 {
        t.rctr(["image", "prune", "-f"]).ok();
    }
    for run in running {
        run.finish().ok().says("kept");
    }
    t.rctr(["run", "--rm", "--network", "none", "test/tree", "true"]).ok();
    assert_eq!(t.mounted_layers(), layers);
    t.nothing_left();
}

/// Where images cannot be mounted, folders take their place, unless images were asked for.
fn a_kernel_without_erofs() {
    let t = Env::new();
    let pull = |driver: &str| {
        let mut command = t.command(env!("CARGO_BIN_EXE_fixture"));
        command.args(["refuse", "fsopen"]).arg(&world().rctr).args(["--storage-driver", driver, "pull", "-q", "busybox"]);
        Running::start(command).finish()
    };
    pull("erofs").fails(125, &["this kernel cannot mount EROFS images", "fsopen"]);
    t.rctr(["images", "-q"]).ok().says("");
    pull("auto").ok();
    t.rctr(["run", "--rm", "--network", "none", "busybox", "true"]).ok();
    t.nothing_left();
}

/// What the attacks below try to make, read or change on the host.
struct Victim {
    folder: tempfile::TempDir,
}

impl Victim {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("victim-").tempdir_in("/var/tmp").expect("a folder");
        let own = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(folder.path(), own).expect("a mode");
        std::fs::write(folder.path().join("secret"), "secret of the host").expect("a file");
        Self { folder }
    }

    fn path(&self) -> &str {
        self.folder.path().to_str().expect("UTF-8")
    }

    fn check(&self, attack: &str) {
        let names: Vec<_> =
            std::fs::read_dir(self.folder.path()).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(names, ["secret"], "{attack} reached the host");
        let text = std::fs::read_to_string(self.folder.path().join("secret")).expect("a file");
        assert_eq!(text, "secret of the host", "{attack} changed a file of the host");
    }
}

fn no_entry_reaches_outside() {
    for driver in DRIVERS {
        let victim = Victim::new();
        let path = victim.path();
        let up = format!("{}{}", "../".repeat(20), path.trim_start_matches('/'));
        let below = |name: &str| format!("{path}/{name}");
        let attacks: Vec<(&str, Vec<Entry>)> = vec![
            ("a name with ..", vec![Entry::file(&format!("{up}/dotdot"), "x")]),
            ("a name with .. in the middle", vec![Entry::dir("a"), Entry::file(&format!("a/{up}/middle"), "x")]),
            ("an absolute name", vec![Entry::file(&below("absolute"), "x")]),
            ("a file through a symlink", vec![Entry::symlink("link", path), Entry::file("link/through", "x")]),
            ("a file through a relative symlink", vec![Entry::symlink("link", &up), Entry::file("link/relative", "x")]),
            ("a folder through a symlink", vec![Entry::symlink("link", path), Entry::dir("link/folder")]),
            ("a file over a symlink", vec![Entry::symlink("file", &below("secret")), Entry::file("file", "overwritten")]),
            ("mode and owner through a symlink", vec![Entry::symlink("d", path), Entry::dir("d").mode(0o777).owner(1, 1)]),
            ("a hard link to an absolute name", vec![Entry::hardlink("stolen", &below("secret"))]),
            ("a hard link with ..", vec![Entry::hardlink("stolen", &format!("{up}/secret"))]),
            ("a hard link through a symlink", vec![Entry::symlink("link", path), Entry::hardlink("stolen", "link/secret")]),
            (
                "a hard link to a symlink",
                vec![Entry::symlink("s", &below("secret")), Entry::hardlink("h", "s"), Entry::file("h", "overwritten")],
            ),
            ("a whiteout with ..", vec![Entry::file(&format!("{up}/.wh.secret"), "")]),
            ("a whiteout through a symlink", vec![Entry::symlink("link", path), Entry::file("link/.wh.secret", "")]),
            ("a whiteout of ..", vec![Entry::dir("a"), Entry::file("a/.wh...", "")]),
            ("an opaque mark through a symlink", vec![Entry::symlink("link", path), Entry::opaque("link")]),
            ("a device through a symlink", vec![Entry::symlink("link", path), Entry::new("link/null", Kind::Device(1, 3))]),
            ("an attribute through a symlink", vec![Entry::symlink("f", &below("secret")).xattr("user.note", b"x")]),
        ];
        for (attack, entries) in attacks {
            let (t, fake) = (Env::with_driver(driver), Fake::start().expect("a registry"));
            let mut layers = vec![integration::catalog::busybox(Compression::Gzip).expect("busybox")];
            layers.push(pack(&entries, Compression::Gzip).expect("a layer"));
            let name = fake.add("hostile/image:v1", &Image::new(Format::Oci, layers, json!({})).bundle());
            let pulled = t.rctr(["pull", "-q", &name]);
            victim.check(attack);
            if pulled.code == 0 {
                // taken, then: inside its own root
                t.rctr(["run", "--rm", "--network", "none", &name, "/bin/sh", "-c", "cat /stolen /link/secret /s /h 2>/dev/null"])
                    .lacks("secret of the host");
            } else {
                pulled.fails(125, &["hostile/image"]);
                t.rctr(["images", "-q"]).ok().says("");
            }
            victim.check(attack);
            let mode = std::os::unix::fs::PermissionsExt::mode(&Path::new(path).metadata().expect("a folder").permissions());
            assert_eq!(mode & 0o777, 0o700, "{attack} changed the mode of a folder of the host");
            t.nothing_left();
        }
    }
}

/// A header that promises more than follows, and one that is no header.
fn damaged_sizes_are_refused() {
    for driver in DRIVERS {
        for (what, damage) in [("a size beyond the end", 0_usize), ("a header of rubbish", 1)] {
            let (t, fake) = (Env::with_driver(driver), Fake::start().expect("a registry"));
            let whole = pack(&[Entry::file("x", vec![b'x'; 2000])], Compression::None).expect("a layer");
            let mut bytes = whole.data.read().expect("bytes");
            if damage == 0 {
                bytes.truncate(1024);
            } else {
                bytes[..512].fill(b'?');
            }
            let digest = integration::layer::digest(&bytes);
            let size = bytes.len() as u64;
            let data = integration::layer::Data::Bytes(bytes);
            let layer = integration::layer::Layer { digest: digest.clone(), diff_id: digest, size, data, ..whole };
            let name = fake.add("damaged/image:v1", &Image::new(Format::Oci, vec![layer], json!({})).bundle());
            let pulled = t.rctr(["pull", &name]);
            pulled.code(125).complains(&["damaged/image"]);
            assert!(pulled.stderr.starts_with("rctr: "), "{what}\n{pulled}");
            t.rctr(["images", "-q"]).ok().says("");
            t.nothing_left();
        }
    }
}
