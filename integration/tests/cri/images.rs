//! The image service.

use cri::{
    AuthConfig, Image, ImageFilter, ImageFsInfoRequest, ImageSpec, ImageStatusRequest, ListImagesRequest, PullImageRequest,
    RemoveImageRequest, StreamImagesRequest,
};
use integration::catalog;
use integration::env::world;
use integration::fake::{Fake, Fault};
use integration::layer::Compression;
use integration::oci;
use integration::registry::{PASSWORD, Registry, USER};
use serde_json::json;
use tonic::Code;

use super::node::{Node, is_another};

integration::tests![
    a_pulled_image_is_listed,
    names_ids_and_digests_mean_the_same_image,
    the_same_content_has_one_id,
    what_is_not_there_is_no_error,
    all_names_go_with_an_image,
    users_are_told,
    upstream_names_come_from_a_mirror,
    a_filter_chooses,
    credentials_let_in,
    a_registry_that_is_away_is_named,
    a_pull_that_stalls_is_given_up,
    pulls_at_once_are_one,
    bad_names_are_refused,
    the_disk_is_told,
];

/// The image of a name.
pub(super) fn spec(name: &str) -> Option<ImageSpec> {
    Some(ImageSpec { image: name.to_owned(), ..ImageSpec::default() })
}

fn request(name: &str) -> PullImageRequest {
    PullImageRequest { image: spec(name), ..PullImageRequest::default() }
}

/// Pulls an image, and answers its id.
#[track_caller]
pub(super) fn pull(n: &Node, name: &str) -> String {
    n.ok(n.images().pull_image(request(name))).image_ref
}

#[track_caller]
fn status(n: &Node, name: &str) -> Option<Image> {
    n.ok(n.images().image_status(ImageStatusRequest { image: spec(name), verbose: false })).image
}

#[track_caller]
fn list(n: &Node) -> Vec<Image> {
    n.ok(n.images().list_images(ListImagesRequest { filter: None })).images
}

#[track_caller]
fn remove(n: &Node, name: &str) {
    n.ok(n.images().remove_image(RemoveImageRequest { image: spec(name) }));
}

fn a_pulled_image_is_listed() {
    let n = Node::start();
    let id = pull(&n, "docker.io/library/busybox");
    let all = list(&n);
    let image = all.iter().find(|image| image.id == id).expect("in the list");
    assert_eq!(image.repo_tags, ["docker.io/library/busybox:latest"]);
    assert!(image.repo_digests.iter().all(|name| name.starts_with("docker.io/library/busybox@sha256:")), "{image:?}");
    assert_eq!(image.repo_digests.len(), 1);
    assert!(image.size > 0 && !image.pinned, "{image:?}");
    assert_eq!(status(&n, "docker.io/library/busybox:latest").as_ref(), Some(image));
    if let Some(parts) = n.stream(n.images().stream_images(StreamImagesRequest { filter: None })) {
        assert_eq!(parts.into_iter().flat_map(|part| part.images).collect::<Vec<Image>>(), all);
    }
    // A second pull says the same.
    assert_eq!(pull(&n, "docker.io/library/busybox:latest"), id);
    let verbose = n.ok(n.images().image_status(ImageStatusRequest { image: spec(&id), verbose: true }));
    assert!(verbose.info.values().any(|text| text.contains("rootfs")), "{:?}", verbose.info);
    remove(&n, &id);
}

fn names_ids_and_digests_mean_the_same_image() {
    let n = Node::start();
    let id = pull(&n, "docker.io/test/probe");
    let digested = status(&n, &id).expect("by id").repo_digests[0].clone();
    let hex = id.strip_prefix("sha256:").expect("a digest").to_owned();
    for name in [&id, &hex, &digested, "docker.io/test/probe:latest", "docker.io/test/probe", "test/probe"] {
        assert_eq!(status(&n, name).map(|image| image.id).as_ref(), Some(&id), "{name}");
    }
    // By its digest it comes without a tag.
    remove(&n, &id);
    assert_eq!(pull(&n, &digested), id);
    let image = status(&n, &id).expect("by id");
    assert!(image.repo_tags.is_empty() && image.repo_digests == [digested], "{image:?}");
    remove(&n, &id);
}

fn the_same_content_has_one_id() {
    let n = Node::start();
    let elsewhere = format!("{}/library/busybox:latest", world().registry.address);
    let id = pull(&n, "docker.io/library/busybox:latest");
    assert_eq!(pull(&n, &elsewhere), id);
    let same: Vec<Image> = list(&n).into_iter().filter(|image| image.id == id).collect();
    assert_eq!(same.len(), 1);
    let mut tags = same[0].repo_tags.clone();
    tags.sort();
    assert_eq!(tags, [elsewhere, "docker.io/library/busybox:latest".to_owned()]);
    assert_eq!(same[0].repo_digests.len(), 2);
    remove(&n, &id);
}

fn what_is_not_there_is_no_error() {
    let n = Node::start();
    assert_eq!(status(&n, "docker.io/test/nonsuch:v1"), None);
    assert_eq!(status(&n, &format!("sha256:{}", "0".repeat(64))), None);
    remove(&n, "docker.io/test/nonsuch:v1");
    let filter = Some(ImageFilter { image: spec("docker.io/test/nonsuch") });
    assert!(n.ok(n.images().list_images(ListImagesRequest { filter })).images.is_empty());
    let nonsuch = format!("{}/test/nonsuch:v1", world().registry.address);
    n.fails(Code::NotFound, n.images().pull_image(request(&nonsuch)));
}

fn all_names_go_with_an_image() {
    let n = Node::start();
    let elsewhere = format!("{}/library/busybox:latest", world().registry.address);
    let id = pull(&n, "docker.io/library/busybox:latest");
    pull(&n, &elsewhere);
    remove(&n, "docker.io/library/busybox:latest");
    assert_eq!(status(&n, &elsewhere), None);
    assert!(!list(&n).iter().any(|image| image.id == id));
    remove(&n, "docker.io/library/busybox:latest");
    n.env.nothing_left();
}

fn users_are_told() {
    let n = Node::start();
    let id = pull(&n, "docker.io/test/config");
    let image = status(&n, &id).expect("there");
    assert_eq!((image.uid, image.username.as_str()), (None, "app"));
    let id = pull(&n, "docker.io/library/busybox");
    let image = status(&n, &id).expect("there");
    assert_eq!((image.uid, image.username.as_str()), (None, ""));
}

/// A registry whose names the fixture registry serves.
fn mirrored(registry: &str) -> String {
    let mirror = format!("[[registry.mirror]]\nlocation = {:?}\ninsecure = true\n", world().registry.address);
    format!("[[registry]]\nprefix = {registry:?}\nlocation = {registry:?}\n{mirror}")
}

/// What Kubernetes' own tests pull, under the names that they have: none of these registries is asked.
fn upstream_names_come_from_a_mirror() {
    const TOOLS: &str = "k8s-staging-cri-tools";
    let n = Node::own(&["registry.k8s.io", "k8s.gcr.io", "gcr.io"].map(mirrored).concat());
    let busybox = catalog::busybox(Compression::Gzip).expect("busybox");
    let push = |name: &str, config: serde_json::Value| {
        let image = oci::Image::new(oci::Format::Docker, vec![busybox.clone()], config);
        world().registry.push(name, &image.bundle()).unwrap_or_else(|error| panic!("{error:#}"));
    };
    push("pause:3.9", json!({"Entrypoint": ["sleep", "1000"]}));
    push("e2e-test-images/busybox:1.29-2", json!({"Cmd": ["sh"]}));
    // The same content of two registries is one image.
    let pause = pull(&n, "registry.k8s.io/pause:3.9");
    assert_eq!(pull(&n, "k8s.gcr.io/pause:3.9"), pause);
    let mut tags = status(&n, &pause).expect("there").repo_tags;
    tags.sort();
    assert_eq!(tags, ["k8s.gcr.io/pause:3.9", "registry.k8s.io/pause:3.9"]);
    assert_ne!(pull(&n, "registry.k8s.io/e2e-test-images/busybox:1.29-2"), pause);
    for (name, user, uid, username) in [
        ("uid", "1002", Some(1002), ""),
        ("username", "www-data", None, "www-data"),
        ("uid-group", "1003:1004", Some(1003), ""),
        ("username-group", "www-data:1004", None, "www-data"),
    ] {
        push(&format!("{TOOLS}/test-image-user-{name}:latest"), json!({"Cmd": ["sh"], "User": user}));
        let id = pull(&n, &format!("gcr.io/{TOOLS}/test-image-user-{name}"));
        let image = status(&n, &id).expect("there");
        assert_eq!((image.uid.map(|uid| uid.value), image.username.as_str()), (uid, username), "{name}");
    }
    // All tags of one image come and go with it.
    let tags = [1, 2, 3].map(|tag| format!("{TOOLS}/test-image-tags:{tag}"));
    tags.iter().for_each(|tag| push(tag, json!({"Cmd": ["sh"], "Labels": {"tags": "three"}})));
    let ids = tags.each_ref().map(|tag| pull(&n, &format!("gcr.io/{tag}")));
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(status(&n, &ids[0]).expect("there").repo_tags.len(), 3);
    remove(&n, &format!("gcr.io/{}", tags[1]));
    assert_eq!(status(&n, &format!("gcr.io/{}", tags[0])), None);
}

fn a_filter_chooses() {
    let n = Node::start();
    let busybox = pull(&n, "docker.io/library/busybox");
    pull(&n, "docker.io/test/probe");
    for name in ["docker.io/library/busybox", &busybox] {
        let filter = Some(ImageFilter { image: spec(name) });
        let images = n.ok(n.images().list_images(ListImagesRequest { filter })).images;
        assert_eq!(images.iter().map(|image| &image.id).collect::<Vec<_>>(), [&busybox], "{name}");
    }
    assert!(list(&n).len() >= 2);
}

fn credentials_let_in() {
    let n = Node::own("");
    let login = Registry::start(true).expect("a registry with accounts");
    n.env.registries(&format!("[[registry]]\nlocation = {:?}\ninsecure = true\n", login.address));
    n.reload();
    let name = format!("{}/library/busybox:latest", login.address);
    let with = |auth| PullImageRequest { auth: Some(auth), ..request(&name) };
    let message = n.fails(Code::PermissionDenied, n.images().pull_image(request(&name)));
    assert!(message.contains("log in"), "{message}");
    let (username, password) = (USER.to_owned(), PASSWORD.to_owned());
    let plain = AuthConfig { username, password, ..AuthConfig::default() };
    let wrong = AuthConfig { password: "guess".to_owned(), ..plain.clone() };
    let message = n.fails(Code::PermissionDenied, n.images().pull_image(with(wrong)));
    assert!(!message.contains("guess"), "{message}");
    let elsewhere = AuthConfig { server_address: "https://other.example".to_owned(), ..plain.clone() };
    n.fails(Code::PermissionDenied, n.images().pull_image(with(elsewhere)));
    let id = n.ok(n.images().pull_image(with(plain))).image_ref;
    remove(&n, &id);
    use base64::Engine as _;
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let server_address = format!("http://{}/v2/", login.address);
    n.ok(n.images().pull_image(with(AuthConfig { auth, server_address, ..AuthConfig::default() })));
    n.fails(Code::InvalidArgument, n.images().pull_image(with(AuthConfig { auth: "?".to_owned(), ..AuthConfig::default() })));
}

fn a_registry_that_is_away_is_named() {
    let n = Node::start();
    let message = n.fails(Code::Unavailable, n.images().pull_image(request("127.0.0.1:1/a/b:v1")));
    assert!(message.starts_with("RegistryUnavailable: ") && message.contains("127.0.0.1:1"), "{message}");
}

fn a_pull_that_stalls_is_given_up() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let n = Node::own("[images]\npatience = 1\n");
    let name = format!("{}/a/b:v1", silent.local_addr().expect("an address"));
    let message = n.fails(Code::DeadlineExceeded, n.images().pull_image(request(&name)));
    assert!(message.contains("nothing has come for 1s"), "{message}");
    n.env.nothing_left();
}

fn pulls_at_once_are_one() {
    let n = Node::own("");
    let fake = Fake::start().expect("a registry");
    let bundles = integration::catalog::small().expect("images");
    let (_, bundle) = bundles.iter().find(|(name, _)| name.starts_with("test/plain")).expect("an image");
    fake.add("test/plain:latest", bundle);
    n.env.registries(&format!("[[registry]]\nlocation = {:?}\ninsecure = true\n", fake.address));
    n.reload();
    fake.fault("/manifests/latest", Fault::Gate);
    let name = format!("{}/test/plain:latest", fake.address);
    let (mut first, mut second) = (n.images(), n.images());
    let both = async { tokio::join!(first.pull_image(request(&name)), second.pull_image(request(&name))) };
    let (first, second) = std::thread::scope(|scope| {
        scope.spawn(|| {
            fake.wait_for_half("/manifests/latest");
            // The other call is on its way, too.
            std::thread::sleep(std::time::Duration::from_millis(100));
            fake.open();
        });
        n.wait(both)
    });
    let ids = [first, second].map(|pull| pull.expect("pulled").into_inner().image_ref);
    assert_eq!(ids[0], ids[1]);
    assert_eq!(fake.hits("/manifests/latest"), 1);
}

fn bad_names_are_refused() {
    let n = Node::start();
    n.fails(Code::InvalidArgument, n.images().pull_image(PullImageRequest::default()));
    for name in ["", "A!", "http://docker.io/a", &"a".repeat(100_000)] {
        n.fails(Code::InvalidArgument, n.images().pull_image(request(name)));
    }
    if !is_another() {
        n.fails(Code::InvalidArgument, n.images().image_status(ImageStatusRequest::default()));
        n.fails(Code::InvalidArgument, n.images().remove_image(RemoveImageRequest::default()));
    }
    // What can be no name is not there.
    assert_eq!(status(&n, "../../etc"), None);
    remove(&n, "../../etc");
}

fn the_disk_is_told() {
    let n = Node::start();
    let info = |n: &Node| n.ok(n.images().image_fs_info(ImageFsInfoRequest {})).image_filesystems.remove(0);
    let used = |n: &Node| info(n).used_bytes.map_or(0, |used| used.value);
    let before = used(&n);
    let id = pull(&n, "docker.io/library/busybox");
    let size = status(&n, &id).expect("there").size;
    // Another runtime may look at its disk only now and then.
    n.env.soon("it counts", || used(&n) > before);
    let after = info(&n);
    assert!(after.timestamp > 0 && after.inodes_used.is_some_and(|used| used.value > 0), "{after:?}");
    assert!(std::path::Path::new(&after.fs_id.clone().expect("a folder").mountpoint).is_dir(), "{after:?}");
    assert!(size > 0, "{after:?}");
    remove(&n, &id);
    n.env.soon("it does not count any more", || used(&n) == before);
}
