//! Pulling: names, registries, credentials, platforms, and what arrives on disk.

use integration::env::{Env, world};
use integration::fake::{Fake, Fault};
use integration::layer::{Compression, Entry, Layer, pack};
use integration::oci::{Bundle, Format, Image};
use integration::registry::{PASSWORD, Registry, USER};
use serde_json::json;

integration::tests![
    says_what_docker_says,
    says_that_nothing_changed,
    quiet_says_only_the_name,
    by_digest,
    from_a_private_registry_on_loopback,
    every_compression_gives_the_same_files,
    platform_of_this_host_is_chosen,
    platform_can_be_chosen,
    login_is_needed_and_used,
    token_is_fetched_and_used,
    shared_layers_come_once,
    two_pulls_of_one_layer_download_it_once,
    a_pull_never_blocks_a_run,
    killed_pull_publishes_nothing_and_the_next_one_works,
    broken_connection_is_resumed,
    server_errors_are_tried_again,
    mirror_is_asked_first_and_the_origin_when_it_has_nothing,
    progress_bars_on_a_terminal,
];

fn text_layer(name: &str, len: usize) -> Layer {
    // digits that do not compress to nothing
    let mut state = 1_u32;
    let bytes: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(len)
    .collect();
    pack(&[Entry::file(name, bytes)], Compression::Gzip).expect("a layer")
}

fn image(layers: &[&Layer]) -> Bundle {
    Image::new(Format::Oci, layers.iter().map(|layer| (*layer).clone()).collect(), json!({"Cmd": ["/x"]})).bundle()
}

fn fake() -> Fake {
    Fake::start().expect("a registry")
}

fn says_what_docker_says() {
    let t = Env::new();
    let pulled = t.rctr(["pull", "busybox"]);
    pulled.ok().has("Digest: sha256:").has("Status: Downloaded newer image for busybox:latest\n");
    // plain lines where there is no terminal, apart from the answer that scripts read
    pulled.complains(&["Pull complete"]);
    assert_eq!(pulled.lines().last(), Some(&"docker.io/library/busybox:latest"), "{pulled}");
    t.rctr(["images", "--format", "{{.Repository}}:{{.Tag}}"]).ok().says("busybox:latest\n");
    t.nothing_left();
}

fn says_that_nothing_changed() {
    let t = Env::new();
    t.rctr(["pull", "test/probe"]).ok();
    t.rctr(["pull", "test/probe:latest"]).ok().has("Status: Image is up to date for test/probe:latest\n");
    t.nothing_left();
}

fn quiet_says_only_the_name() {
    let t = Env::new();
    t.rctr(["pull", "-q", "test/probe"]).ok().says("docker.io/test/probe:latest\n").says_aside("");
    t.rctr(["pull", "--quiet", "docker.io/library/busybox"]).ok().says("docker.io/library/busybox:latest\n");
    t.nothing_left();
}

fn by_digest() {
    let t = Env::new();
    t.rctr(["pull", "-q", "test/probe"]).ok();
    let named = t.inspect("test/probe", "{{index .RepoDigests 0}}");
    let (name, digest) = named.split_once('@').expect("name@digest");
    assert!(name == "test/probe" && digest.len() == 71, "{named}");
    let other = Env::new();
    other.rctr(["pull", "-q", &named]).ok().says(&format!("docker.io/{named}\n"));
    other.rctr(["run", "--rm", "--network", "none", &named, "out", "hello"]).ok().says("hello\n");
    other.nothing_left();
}

fn from_a_private_registry_on_loopback() {
    let t = Env::new();
    t.registries("");
    let name = format!("{}/test/probe", world().registry.address);
    t.rctr(["pull", "-q", &name]).ok().says(&format!("{name}:latest\n"));
    t.rctr(["images", "--format", "{{.Repository}} {{.Tag}}"]).ok().says(&format!("{name} latest\n"));
    t.nothing_left();
}

fn every_compression_gives_the_same_files() {
    let t = Env::new();
    let sum = |image: &str| t.rctr(["run", "--rm", "--network", "none", image, "sha256sum", "/bin/busybox", "/etc/group"]);
    let gzip = sum("busybox");
    gzip.ok();
    for image in ["test/plain", "test/zstd"] {
        sum(image).ok().says(&gzip.stdout);
    }
    let layers = |image: &str| t.inspect(image, "{{json .RootFS.Layers}}");
    assert_eq!(layers("test/plain"), layers("test/zstd"));
    t.nothing_left();
}

fn platform_of_this_host_is_chosen() {
    let t = Env::new();
    // the index begins with an attestation and with another platform
    t.rctr(["pull", "-q", "busybox"]).ok();
    assert_eq!(t.inspect("busybox", "{{.Architecture}}"), integration::oci::architecture());
    t.nothing_left();
}

fn platform_can_be_chosen() {
    let t = Env::new();
    let foreign = integration::oci::foreign_architecture();
    t.rctr(["pull", "-q", "--platform", &format!("linux/{foreign}"), "busybox"]).ok();
    assert_eq!(t.inspect("busybox", "{{.Os}}/{{.Architecture}}"), format!("linux/{foreign}"));
    t.nothing_left();
}

fn login_is_needed_and_used() {
    let login = Registry::start(true).expect("a registry with accounts");
    let t = Env::new();
    let name = format!("{}/test/probe", login.address);
    t.rctr(["pull", &name]).fails(125, &["test/probe", &login.address, "401"]);
    t.login(&login.address, USER, "wrong");
    t.rctr(["pull", &name]).fails(125, &["test/probe", &login.address, "401"]);
    t.nothing_left();
    t.login(&login.address, USER, PASSWORD);
    t.rctr(["pull", "-q", &name]).ok();
    t.nothing_left();
}

fn token_is_fetched_and_used() {
    let (t, fake) = (Env::new(), fake());
    let layer = text_layer("x", 1000);
    let name = fake.add("lib/token:v1", &image(&[&layer]));
    fake.want_token("let-me-in");
    t.rctr(["pull", "-q", &name]).ok();
    assert_eq!(fake.hits("/token"), 1, "one token serves the whole pull");
    t.nothing_left();
}

fn shared_layers_come_once() {
    let (t, fake) = (Env::new(), fake());
    let (base, one, two) = (text_layer("base", 100_000), text_layer("one", 1000), text_layer("two", 1000));
    for (name, top) in [("a/one:v1", &one), ("a/two:v1", &two)] {
        t.rctr(["pull", "-q", &fake.add(name, &image(&[&base, top]))]).ok();
    }
    assert_eq!((fake.hits(&base.digest), fake.hits(&one.digest), fake.hits(&two.digest)), (1, 1, 1));
    t.nothing_left();
}

fn two_pulls_of_one_layer_download_it_once() {
    let (t, fake) = (Env::new(), fake());
    let layer = text_layer("big", 200_000);
    let names = ["a/one:v1", "a/two:v1"].map(|name| fake.add(name, &image(&[&layer])));
    fake.fault(&layer.digest, Fault::Gate);
    let first = t.spawn(["pull", "-q", &names[0]]);
    fake.wait_for_half(&layer.digest);
    let second = t.spawn(["pull", "-q", &names[1]]);
    fake.wait_for_hits("/two/manifests/v1", 1);
    fake.open();
    first.finish().ok();
    second.finish().ok();
    assert_eq!(fake.hits(&layer.digest), 1);
    t.nothing_left();
}

fn a_pull_never_blocks_a_run() {
    let (t, fake) = (Env::new(), fake());
    t.rctr(["pull", "-q", "busybox"]).ok();
    let layer = text_layer("big", 200_000);
    let name = fake.add("a/waits:v1", &image(&[&layer]));
    fake.fault(&layer.digest, Fault::Gate);
    let pull = t.spawn(["pull", "-q", &name]);
    fake.wait_for_half(&layer.digest);
    t.rctr(["run", "--rm", "--network", "none", "busybox", "echo", "meanwhile"]).ok().says("meanwhile\n");
    t.rctr(["pull", "-q", "test/probe"]).ok();
    t.rctr(["tag", "busybox", "other:1"]).ok();
    t.rctr(["rmi", "other:1", "test/probe"]).ok();
    t.rctr(["image", "prune", "-f"]).ok();
    fake.open();
    pull.finish().ok();
    t.rctr(["image", "check", "-q"]).ok();
    t.nothing_left();
}

fn killed_pull_publishes_nothing_and_the_next_one_works() {
    let (t, fake) = (Env::new(), fake());
    let (small, big) = (text_layer("small", 1000), text_layer("big", 200_000));
    let name = fake.add("a/killed:v1", &image(&[&small, &big]));
    fake.fault(&big.digest, Fault::Gate);
    let pull = t.spawn(["pull", &name]);
    fake.wait_for_half(&big.digest);
    pull.kill();
    t.rctr(["images", "-q"]).ok().says("");
    t.rctr(["inspect", &name]).code(125);
    fake.open();
    t.rctr(["pull", "-q", &name]).ok();
    t.rctr(["images", "--format", "{{.Tag}}"]).ok().says("v1\n");
    t.nothing_left();
}

fn broken_connection_is_resumed() {
    let (t, fake) = (Env::new(), fake());
    let layer = text_layer("big", 300_000);
    let name = fake.add("a/broken:v1", &image(&[&layer]));
    fake.fault(&layer.digest, Fault::BreakOnce(100_000));
    t.rctr(["pull", "-q", &name]).ok();
    assert_eq!(fake.hits(&layer.digest), 2);
    t.nothing_left();
}

fn server_errors_are_tried_again() {
    for status in [503, 429] {
        let (t, fake) = (Env::new(), fake());
        let layer = text_layer("x", 1000);
        let name = fake.add("a/busy:v1", &image(&[&layer]));
        fake.fault(&layer.digest, Fault::Status(status, vec![("Retry-After".into(), "0".into())], String::new(), 1));
        t.rctr(["pull", "-q", &name]).ok();
        assert_eq!(fake.hits(&layer.digest), 2, "{status}");
        t.nothing_left();
    }
}

fn mirror_is_asked_first_and_the_origin_when_it_has_nothing() {
    let (t, mirror, origin) = (Env::new(), fake(), fake());
    let layer = text_layer("x", 1000);
    let name = origin.add("a/here:v1", &image(&[&layer]));
    t.registries(&format!(
        "[[registry]]\nlocation = \"{0}\"\ninsecure = true\n[[registry.mirror]]\nlocation = \"{1}\"\ninsecure = true\n",
        origin.address, mirror.address
    ));
    t.rctr(["pull", "-q", &name]).ok();
    assert!(mirror.hits("/manifests/v1") > 0, "the mirror was not asked");
    assert_eq!(origin.hits(&layer.digest), 1);
    mirror.add("a/there:v1", &image(&[&layer]));
    t.rctr(["pull", "-q", &format!("{}/a/there:v1", origin.address)]).ok();
    assert_eq!(origin.hits("/there/manifests/v1"), 0, "the origin was asked although the mirror had it");
    t.nothing_left();
}

fn progress_bars_on_a_terminal() {
    let t = Env::new();
    let command = t.rctr_command(["pull", "test/tree"]);
    let (code, screen) = integration::terminal::Terminal::start(&command, 100, 30).finish();
    assert_eq!(code, 0, "{screen}");
    assert!(screen.contains('\u{1b}'), "no bar was drawn: {screen}");
    assert!(screen.contains("Status: Downloaded newer image for test/tree:latest"), "{screen}");
    t.nothing_left();
}
