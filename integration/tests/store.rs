//! The image store: damage is found and named, and neither SIGKILL nor a power cut leaves half an image.

#![allow(clippy::print_stdout, reason = "a seed, to do the same again, and what was left out")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use integration::env::{Env, Running, within, world};
use integration::layer::{Compression, Entry, pack};
use integration::oci::{Format, Image};
use rustix::process::Signal;

integration::tests![
    a_flipped_bit_is_found_in_a_tree,
    a_flipped_bit_is_found_in_an_image,
    a_damaged_superblock_is_named,
    mounted_layers_have_no_setuid_programs_and_no_devices,
    a_layer_that_is_used_stays,
    a_synced_pull_leaves_no_mark,
    kill9_of_whatever_changes_images,
    kill9_of_whatever_changes_trees,
    kill9_of_pushes,
    kill9_of_a_registry,
    power_cuts,
];

/// An image with some megabytes in two layers of many files, and its name.
fn many_files() -> &'static str {
    const NAME: &str = "test/many-files";
    let mut random = Random(7);
    let layer = |of: &str, random: &mut Random| {
        let file = |number: usize, random: &mut Random| {
            let length = random.below(40_000);
            let bytes: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
            Entry::file(&format!("{of}/{number}"), bytes)
        };
        let entries: Vec<_> = std::iter::once(Entry::dir(of)).chain((0..200).map(|number| file(number, random))).collect();
        pack(&entries, Compression::Gzip).expect("a layer")
    };
    let layers = vec![layer("one", &mut random), layer("two", &mut random)];
    let image = Image::new(Format::Oci, layers, serde_json::json!({"Cmd": ["none"]}));
    world().registry.push(&format!("{NAME}:latest"), &image.bundle()).expect("an image pushed");
    NAME
}

/// Numbers that only depend on the first (xorshift64*).
struct Random(u64);

impl Random {
    /// From RCTR_TEST_SEED, or from the clock. It is printed, so that a failure can be had again.
    fn new() -> Self {
        let given = std::env::var("RCTR_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let clock = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |now| now.as_nanos() as u64);
        let seed = given.unwrap_or_else(clock) | 1;
        println!("RCTR_TEST_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % limit.max(1)
    }

    fn part_of(&mut self, time: Duration) -> Duration {
        Duration::from_micros(self.below(time.as_micros() as u64))
    }
}

/// The folders of all layers.
fn layers(root: &Path) -> Vec<PathBuf> {
    let folder = root.join("images/layers/sha256");
    let all = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    all.filter(|path| path.extension().is_none()).collect()
}

fn flip(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).expect("a file of a layer");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("a byte");
    file.write_all_at(&[byte[0] ^ 1], at).expect("a byte written");
}

fn a_flipped_bit_is_found_in_a_tree() {
    let t = Env::with_driver("tree");
    for image in ["busybox", "test/config"] {
        t.rctr(["pull", "-q", image]).ok();
    }
    t.rctr(["image", "check"])
        .ok()
        .says("busybox:latest: whole, 1 layer\ntest/config:latest: whole, 2 layers\n2 images: all whole\n");
    let shell = layers(&t.root()).into_iter().map(|layer| layer.join("tree/bin/busybox")).find(|path| path.exists());
    let shell = shell.expect("the layer with busybox");
    flip(&shell, 5000);
    let found = t.rctr(["image", "check"]);
    found
        .code(1)
        .has("busybox:latest: DAMAGED, 1 layer\n  layer sha256:")
        .has(" tree/bin/busybox: content\n")
        .has("2 images: 2 damaged\n");
    found.complains(&["--repair"]);
    t.rctr(["image", "check", "-q", "--repair", "busybox"]).ok().has("    dropped: pull the image again\n");
    assert!(!shell.exists());
    t.rctr(["image", "check", "test/config"]).code(1).has(": missing\n");
    // a run brings it back, for both images
    t.rctr(["run", "--rm", "--network", "none", "busybox", "true"]).ok().complains(&["is damaged", "Pulling busybox"]);
    t.rctr(["image", "check", "-q"]).ok().says("");
    t.rctr(["run", "--rm", "--network", "none", "--pull", "never", "busybox", "true"]).ok();
    t.rctr(["image", "check", "none"]).fails(125, &["no such image: none"]);
}

fn a_flipped_bit_is_found_in_an_image() {
    let t = Env::with_driver("erofs");
    let pulled = t.rctr(["pull", "-q", "busybox"]);
    if pulled.stderr.contains("cannot mount EROFS") {
        integration::skip!("needs EROFS");
    }
    pulled.ok();
    t.rctr(["image", "check"]).ok();
    let image = layers(&t.root())[0].join("erofs");
    flip(&image, 100_000);
    t.rctr(["image", "check"]).code(1).has(" erofs: content\n");
    t.rctr(["image", "check", "--repair"]).ok();
    t.rctr(["pull", "-q", "busybox"]).ok();
    t.rctr(["image", "check"]).ok().says("busybox:latest: whole, 1 layer\n1 image: all whole\n");
}

/// An image whose first block is not what it was cannot be mounted: where it is, and what to do, is said.
fn a_damaged_superblock_is_named() {
    let t = Env::with_driver("erofs");
    let pulled = t.rctr(["pull", "-q", "busybox"]);
    if pulled.stderr.contains("cannot mount EROFS") {
        integration::skip!("needs EROFS");
    }
    pulled.ok();
    let image = layers(&t.root())[0].join("erofs");
    let path = image.display().to_string();
    let damages: [&dyn Fn(); 2] = [&|| flip(&image, 1024), &|| File::create(&image).map(drop).expect("an empty file")];
    for damage in damages {
        damage();
        t.rctr(["run", "--rm", "--network", "none", "busybox", "true"]).fails(125, &["is damaged", &path, "image check --repair"]);
        t.rctr(["image", "mount", "busybox"]).fails(125, &["is damaged", &path]);
        let folder = format!("    in {}\n", image.parent().expect("a folder").display());
        t.rctr(["image", "check"]).code(1).has(" erofs: content\n").has(&folder);
        t.rctr(["image", "check", "-q", "--repair"]).ok();
        t.rctr(["run", "--rm", "--network", "none", "busybox", "true"]).ok();
        t.nothing_left();
        t.rctr(["image", "prune", "-f"]).ok();
    }
}

/// Layers that are mounted for all containers are of no use to whoever gets at them on the host; in containers setuid programs work.
fn mounted_layers_have_no_setuid_programs_and_no_devices() {
    let t = Env::with_driver("erofs");
    let pulled = t.rctr(["pull", "-q", "test/tree"]);
    if pulled.stderr.contains("cannot mount EROFS") {
        integration::skip!("needs EROFS");
    }
    pulled.ok();
    t.start(["--network", "none", "test/tree", "sleep", "1000"]);
    let table = fs::read_to_string("/proc/self/mountinfo").expect("the mount table");
    let folder = format!(" {}/", t.run().join("layers").display());
    let mounts: Vec<_> = table.lines().filter(|line| line.contains(&folder)).collect();
    assert!(!mounts.is_empty(), "{table}");
    for mount in mounts {
        let options = mount.split(' ').nth(5).unwrap_or_default();
        assert!(["ro", "nosuid", "nodev"].iter().all(|option| options.split(',').any(|one| one == *option)), "{mount}");
    }
    // Nobody's process has rights by such a program's owner, in a layer of its own.
    let made = ["run", "--name", "maker", "--network", "none", "test/tree", "/bin/sh", "-c"];
    t.rctr([&made[..], &["cp /probe /suid && chmod 4755 /suid"]].concat()).ok();
    t.rctr(["commit", "maker", "test/suid"]).ok();
    let status = t.rctr(["run", "--rm", "--network", "none", "--user", "1000:1000", "test/suid", "/suid", "status"]);
    status.ok().has("CapEff: ").lacks("CapEff: 0000000000000000");
}

fn a_layer_that_is_used_stays() {
    let t = Env::with_driver("tree");
    let id = t.start(["--network", "none", "busybox", "sleep", "1000"]);
    let path = layers(&t.root())[0].join("tree/etc/passwd");
    flip(&path, 0);
    t.rctr(["image", "check", "--repair"]).code(1).has(" tree/etc/passwd: content\n").has(&format!("it is used by {}", &id[..12]));
    t.rctr(["exec", &id, "true"]).ok();
    t.rctr(["rm", "-f", &id]).ok();
    t.rctr(["image", "check", "--repair"]).ok();
    assert!(!path.exists());
}

/// Layers without a mark are on the disk for sure.
fn marks(root: &Path) -> usize {
    layers(root).iter().filter(|layer| layer.join("unsynced").is_symlink()).count()
}

fn a_synced_pull_leaves_no_mark() {
    let t = Env::new();
    t.rctr(["pull", "-q", "--sync", "busybox"]).ok();
    assert_eq!(marks(&t.root()), 0);
    // behind the back of who does not wait
    t.rctr(["pull", "-q", "test/config"]).ok();
    t.soon("what was pulled is synced", || marks(&t.root()) == 0);
}

/// What must hold whatever was killed.
fn assert_whole(t: &Env, what: &str) {
    assert_images_whole(t, what);
    // what syncs behind a pull may just be at work
    let clean = within(Duration::from_secs(20), || t.left().is_empty());
    assert!(clean, "{what} left behind:\n  {}", t.left().join("\n  "));
}

/// Every image is whole, and there is no layer that none of them has.
fn assert_images_whole(t: &Env, what: &str) {
    t.rctr(["image", "check", "-q"]).code(0).says("");
    t.rctr(["image", "prune", "-f"]).ok();
    let ids = t.rctr(["images", "-q", "--no-trunc"]);
    let known: std::collections::BTreeSet<_> = ids.lines().into_iter().map(str::to_owned).collect();
    let wanted: usize = known.iter().map(|id| t.inspect(id, "{{len .RootFS.Layers}}").parse::<usize>().expect("a number")).sum();
    assert!(layers(&t.root()).len() <= wanted, "{what}: a layer that no image has");
}

/// So many rounds of a loop of kills: more with ROUNDS, a factor, which `integration/test --long` sets.
fn rounds(usual: u32) -> u32 {
    let factor = std::env::var("ROUNDS").ok().and_then(|factor| factor.parse().ok());
    usual * factor.unwrap_or(1)
}

/// Kills one command after the other at a random moment of its life.
fn kill9_of_whatever_changes_images() {
    kill9_with(Env::new());
}

/// The same where layers are folders.
fn kill9_of_whatever_changes_trees() {
    kill9_with(Env::with_driver("tree"));
}

fn kill9_with(t: Env) {
    let rounds = rounds(12);
    let mut random = Random::new();
    let many = many_files();
    t.rctr(["pull", "-q", many]).ok();
    let archive = t.path("saved.tar").display().to_string();
    t.rctr(["save", "-o", &archive, many]).ok();
    t.rctr(["rmi", many]).ok();
    let commands: [(&[&str], &[&str]); 4] = [
        (&["pull", "-q", many], &["rmi", "-f", many]),
        (&["load", "-q", "-i", &archive], &["rmi", "-f", many]),
        (&["rmi", many], &["pull", "-q", many]),
        (&["image", "prune", "-a", "-f"], &["load", "-q", "-i", &archive]),
    ];
    let bound = Instant::now() + Duration::from_secs(60) * rounds / 12;
    let mut usual = [Duration::from_millis(600); 4];
    for round in 0..rounds {
        if Instant::now() > bound {
            println!("{round} rounds took long enough");
            break;
        }
        let at = random.below(4) as usize;
        let (command, before) = commands[at];
        let _ = t.rctr(before);
        let (moment, begun) = (random.part_of(usual[at]), Instant::now());
        let mut running = t.spawn(command);
        std::thread::sleep(moment);
        if running.has_ended() {
            usual[at] = begun.elapsed();
        }
        running.kill();
        assert_whole(&t, &format!("{} killed after {moment:?}", command.join(" ")));
        // whatever comes next works
        t.rctr(["pull", "-q", many]).ok();
        t.rctr(["image", "check", "-q", many]).ok();
    }
}

/// A registry of our own in the folder `served`, and its address.
fn serve(t: &Env, listen: &str) -> (Running, String) {
    let mut serve = t.spawn(["registry", "serve", "--listen", listen, "--root", &t.path("served").display().to_string()]);
    serve.wait_for("127.0.0.1:");
    let address = serve.said().split_whitespace().find_map(|word| {
        let word = word.trim_matches(|c: char| !c.is_ascii_digit());
        word.contains("127.0.0.1:").then(|| word.to_owned())
    });
    (serve, address.expect("an address"))
}

/// The registry is killed while somebody pushes to it: what it has said yes to is there, and the next push completes the rest.
fn kill9_of_a_registry() {
    let t = Env::new();
    let mut random = Random::new();
    let (mut registry, address) = serve(&t, "127.0.0.1:0");
    t.rctr(["pull", "-q", many_files()]).ok();
    let name = format!("{address}/x/many");
    t.rctr(["tag", many_files(), &name]).ok();
    for round in 0..rounds(6) {
        // Something is to be sent each time: nobody names what was there.
        if round > 0 {
            registry.kill();
            fs::remove_dir_all(t.path("served")).expect("no registry");
            registry = serve(&t, &address).0;
        }
        let push = t.spawn(["push", "-q", &name]);
        std::thread::sleep(random.part_of(Duration::from_millis(400)));
        registry.kill();
        registry = serve(&t, &address).0;
        // It tries again for a while, and may well find it back.
        if push.finish().code != 0 {
            t.rctr(["push", "-q", &name]).ok();
        }
        t.rctr(["rmi", &name]).ok();
        t.rctr(["pull", "-q", &name]).ok();
        t.rctr(["image", "check", "-q"]).ok().says("");
        let left: Vec<_> = fs::read_dir(t.path("served").join("uploads")).expect("a folder").flatten().collect();
        assert!(left.is_empty(), "{left:?}");
    }
    registry.kill();
}

fn kill9_of_pushes() {
    let t = Env::new();
    let mut random = Random::new();
    let (serve, address) = serve(&t, "127.0.0.1:0");
    t.rctr(["pull", "-q", many_files()]).ok();
    let name = format!("{address}/x/many");
    t.rctr(["tag", many_files(), &name]).ok();
    for _ in 0..rounds(8) {
        let push = t.spawn(["push", "-q", &name]);
        std::thread::sleep(random.part_of(Duration::from_millis(400)));
        push.kill();
        assert_images_whole(&t, "a push that was killed");
    }
    t.rctr(["push", "-q", &name]).ok();
    t.rctr(["rmi", &name]).ok();
    t.rctr(["pull", "-q", &name]).ok();
    t.rctr(["image", "check", "-q"]).ok();
    serve.kill();
}

/// An ext4 file system in a file, mounted. What the file holds at any moment is what a disk would after a power cut.
struct Disk {
    file: PathBuf,
    point: PathBuf,
    device: String,
}

impl Disk {
    fn attach(file: PathBuf, point: PathBuf) -> Self {
        let found = Command::new("losetup").args(["-f", "--show"]).arg(&file).output().expect("losetup");
        let device = String::from_utf8_lossy(&found.stdout).trim().to_owned();
        assert!(device.starts_with("/dev/loop"), "{}", String::from_utf8_lossy(&found.stderr));
        fs::create_dir_all(&point).expect("a mount point");
        let disk = Self { file, point, device };
        run("mount", &[&disk.device, &disk.point.display().to_string()]);
        disk
    }

    /// Reads and writes that the device has finished, and those on their way.
    fn traffic(&self) -> Vec<String> {
        let name = self.device.trim_start_matches("/dev/");
        let text = fs::read_to_string(format!("/sys/block/{name}/stat")).expect("statistics of a loop device");
        let words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
        [4, 6, 8].iter().map(|at| words[*at].clone()).collect()
    }

    /// A copy of the file as it is at one moment: nothing is written meanwhile.
    fn cut(&self, to: &Path) -> bool {
        within(Duration::from_secs(20), || {
            let before = self.traffic();
            run("cp", &["--sparse=always", &self.file.display().to_string(), &to.display().to_string()]);
            before[2] == "0" && before == self.traffic()
        })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whoever syncs behind a pull is waited for.
        let gone = || Command::new("umount").arg(&self.point).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        within(Duration::from_secs(20), gone);
        let _ = Command::new("losetup").args(["-d", &self.device]).status();
    }
}

fn run(program: &str, words: &[&str]) {
    let done = Command::new(program).args(words).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(done.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// What is on the disk at random moments of pulls, and right after them, is whole, or found not to be, in the next boot.
fn power_cuts() {
    const ROUNDS: u32 = 6;
    for program in ["mkfs.ext4", "losetup", "mount"] {
        if Command::new(program).arg("-V").output().is_err() {
            integration::skip!("needs {program}");
        }
    }
    for driver in ["tree", "erofs"] {
        let mut t = Env::with_driver(driver);
        let mut random = Random::new();
        let disk = t.path("disk");
        File::create(&disk).and_then(|file| file.set_len(192 << 20)).expect("a disk");
        run("mkfs.ext4", &["-q", "-F", &disk.display().to_string()]);
        let disk = Disk::attach(disk, t.path("mounted"));
        t.set("RCTR_ROOT", &disk.point.join("root").display().to_string());
        if t.rctr(["pull", "-q", "busybox"]).stderr.contains("cannot mount EROFS") {
            println!("skipped in part: needs EROFS");
            continue;
        }
        let many = many_files();
        let mut damaged = 0;
        for round in 0..ROUNDS {
            let _ = t.rctr(["rmi", "-f", many]);
            let mut pull = t.spawn(["pull", "-q", many]);
            std::thread::sleep(random.part_of(Duration::from_millis(700)));
            // Once right behind it, when names are on the disk and layers are not.
            if round == 0 {
                pull = finished(pull, &t);
            }
            pull.signal(Signal::STOP);
            let copy = t.path("copy");
            let cut = disk.cut(&copy);
            pull.signal(Signal::CONT);
            if cut {
                damaged += u32::from(after_a_cut(&t, &copy, driver, random.0));
            } else {
                println!("the disk was never quiet");
            }
            pull.kill();
        }
        println!("{driver}: {damaged} of {ROUNDS} cuts took something of an image");
        // What has been waited for is there, whatever happens.
        let _ = t.rctr(["rmi", "-f", many]);
        t.rctr(["pull", "-q", "--sync", many]).ok();
        let copy = t.path("copy");
        assert!(disk.cut(&copy), "the disk was never quiet");
        let other = Disk::attach(copy, t.path("other"));
        let root = another_boot(&other);
        t.rctr(["--root", &root, "image", "check", many]).ok();
    }
}

/// Waits for a pull, and begins another one, which has nothing to do.
fn finished(pull: integration::env::Running, t: &Env) -> integration::env::Running {
    pull.finish().ok();
    t.spawn(["image", "check", "-q"])
}

/// The root folder on a disk that is mounted after a cut: marks are of a boot that has ended.
fn another_boot(disk: &Disk) -> String {
    let root = disk.point.join("root");
    for layer in layers(&root) {
        let mark = layer.join("unsynced");
        if mark.is_symlink() {
            fs::remove_file(&mark).expect("a mark removed");
            std::os::unix::fs::symlink("another-boot.1", &mark).expect("a mark");
        }
    }
    root.display().to_string()
}

/// Answers whether something was lost that a name stood for.
fn after_a_cut(t: &Env, copy: &Path, driver: &str, seed: u64) -> bool {
    let disk = Disk::attach(copy.to_owned(), t.path("other"));
    let root = another_boot(&disk);
    let rctr = |words: &[&str]| t.rctr(["--root", root.as_str()].iter().chain(words));
    let what = format!("{driver}, RCTR_TEST_SEED={seed}");
    // Whoever is first to use an image finds out what is lost: all that is published is whole then, or gone.
    let names: Vec<_> = rctr(&["images", "--format", "{{.Repository}}"]).lines().into_iter().map(str::to_owned).collect();
    let checked = rctr(&["image", "check"]);
    assert!(checked.code < 2, "{what}\n{checked}");
    for part in ["manifest sha256:", "config sha256:", "index sha256:", "name /", "<none>"] {
        assert!(!checked.stdout.contains(part), "{what}: a name stands for nothing\n{checked}");
    }
    let used = rctr(&["run", "--rm", "--network", "none", "busybox", "true"]);
    assert_eq!(used.code, 0, "{what}\n{used}");
    for name in &names {
        rctr(&["pull", "-q", name]).ok();
    }
    rctr(&["image", "check", "-q"]).code(0).says("");
    rctr(&["image", "prune", "-f"]).ok();
    checked.code == 1
}
