//! Push, pull, login, save and load against Debian's docker-registry, where it is installed.
#![allow(clippy::print_stderr, reason = "skipped tests say so")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use images::{
    Credentials, Digest, Event, Image, LoadOptions, Platform, Progress, PullOptions, PushOptions, Pushed, Reference, Registries,
    SaveOptions, Store,
};
use serde_json::json;

/// A registry that ends with the test.
struct Registry {
    address: String,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Registry {
    /// `None`, and a visible word, where the program is missing. `accounts` is an htpasswd file.
    fn start(accounts: Option<&str>) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let storage = folder.path().join("storage");
        let mut text = format!(
            "version: 0.1\nlog:\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    rootdirectory: {}\n\
             http:\n  addr: 127.0.0.1:0\n",
            storage.display()
        );
        if let Some(accounts) = accounts {
            let path = folder.path().join("htpasswd");
            fs::write(&path, accounts).unwrap();
            text += &format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", path.display());
        }
        let config = folder.path().join("config.yml");
        fs::write(&config, text).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let Ok(mut child) = command.spawn() else {
            eprintln!("skipped: needs docker-registry");
            return None;
        };
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("listening on ") {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "docker-registry ended");
        }
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        let rest = line.split("listening on ").nth(1).unwrap();
        let address = rest.split(|c: char| c != '.' && c != ':' && !c.is_ascii_digit()).next().unwrap().to_owned();
        Some(Registry { address, child, _folder: folder })
    }

    fn name(&self, rest: &str) -> Reference {
        format!("{}/{rest}", self.address).parse().unwrap()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Host {
    folder: tempfile::TempDir,
    store: Store,
    /// Docker's `config.json`.
    config: PathBuf,
}

impl Host {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("images")).unwrap();
        let config = folder.path().join("config.json");
        Host { folder, store, config }
    }

    fn load(&self, archive: &[u8], platform: Option<&str>) -> Image {
        let mut file = tempfile::tempfile_in(self.folder.path()).unwrap();
        file.write_all(archive).unwrap();
        file.rewind().unwrap();
        let options = LoadOptions {
            platforms: platform.iter().map(|platform| platform.parse().unwrap()).collect(),
            ..LoadOptions::default()
        };
        images::load(&self.store, file, &options, &()).unwrap().remove(0).image
    }

    fn credentials(&self) -> Credentials {
        Credentials::load(std::slice::from_ref(&self.config)).unwrap()
    }

    fn push(&self, name: &Reference) -> Result<(Pushed, Vec<String>), String> {
        let steps = Steps::default();
        let options = PushOptions { credentials: self.credentials(), ..PushOptions::default() };
        let pushed = images::push(&self.store, name, &options, &steps).map_err(|error| chain(&error))?;
        Ok((pushed, steps.0.into_inner().unwrap()))
    }

    fn pull(&self, name: &Reference, keep_blobs: bool) -> Result<Image, String> {
        let options = PullOptions { credentials: self.credentials(), keep_blobs, ..PullOptions::default() };
        images::pull(&self.store, name, &options, &()).map(|pulled| pulled.image).map_err(|error| chain(&error))
    }

    fn save(&self, name: &Reference) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let options = SaveOptions { registries: Registries::default(), credentials: self.credentials(), platforms: Vec::new() };
        let saved = images::save(&self.store, &[name.to_string()], &options, &mut bytes, &());
        saved.map(|()| bytes).map_err(|error| chain(&error))
    }

    fn blobs(&self, image: &Image) -> usize {
        let layer = |layer: &images::Layer| self.store.root().join("layers/sha256").join(layer.digest.hex());
        image.layers.iter().filter(|found| layer(found).join("blob").exists()).count()
    }
}

/// What became of each layer.
#[derive(Default)]
struct Steps(Mutex<Vec<String>>);

impl Progress for Steps {
    fn event(&self, event: Event<'_>) {
        self.0.lock().unwrap().push(match event {
            Event::Exists(_) => "exists".to_owned(),
            Event::Mounted { from, .. } => format!("mounted from {from}"),
            Event::Done(_) => "sent".to_owned(),
            Event::Retrying { what, why, .. } => format!("{what}: {why}"),
            _ => return,
        });
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_uid(rustix::process::geteuid().as_raw().into());
        header.set_gid(rustix::process::getegid().as_raw().into());
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An archive with an index of two platforms, each with one layer of its own and one for both; named `x:1`.
fn archive() -> Vec<u8> {
    let noise: Vec<u8> = (0..3_u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let shared = tar(&[("shared", &noise[..])]);
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    let mut blob = |bytes: Vec<u8>| {
        let digest = Digest::sha256(&bytes);
        let size = bytes.len();
        files.push((format!("blobs/sha256/{}", digest.hex()), bytes));
        (digest, size)
    };
    let mut entries = Vec::new();
    for architecture in ["amd64", "arm64"] {
        let own = tar(&[("own", architecture.as_bytes())]);
        let ids = [Digest::sha256(&shared), Digest::sha256(&own)];
        let config = json!({"os": "linux", "architecture": architecture, "rootfs": {"type": "layers", "diff_ids": ids}});
        let config = blob(config.to_string().into_bytes());
        let layers = [blob(gzip(&shared)), blob(gzip(&own))];
        let entry = |kind: &str, (digest, size): &(Digest, usize)| json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest, "size": size});
        let manifest = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": entry("config.v1+json", &config), "layers": layers.map(|layer| entry("layer.v1.tar+gzip", &layer))});
        let mut own = entry("manifest.v1+json", &blob(manifest.to_string().into_bytes()));
        own["platform"] = json!({"os": "linux", "architecture": architecture});
        entries.push(own);
    }
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": entries});
    let (digest, size) = blob(index.to_string().into_bytes());
    let list = json!({"schemaVersion": 2, "manifests": [{"mediaType": media_type, "digest": digest, "size": size,
        "annotations": {"io.containerd.image.name": "docker.io/library/x:1"}}]});
    files.push(("index.json".to_owned(), list.to_string().into_bytes()));
    let files: Vec<_> = files.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
    tar(&files)
}

fn host_platform() -> String {
    format!("linux/{}", Platform::host().architecture)
}

#[test]
fn there_and_back() {
    let Some(registry) = Registry::start(None) else { return };
    let (here, there) = (Host::new(), Host::new());
    let image = here.load(&archive(), Some(&host_platform()));
    let (first, second) = (registry.name("a/b:v1"), registry.name("c:v1"));
    here.store.tag(&image, &first).unwrap();
    here.store.tag(&image, &second).unwrap();
    let (pushed, steps) = here.push(&first).unwrap();
    assert_eq!(steps, ["sent", "sent"]);
    assert_eq!((pushed.digest, pushed.without.len()), (image.manifest.clone(), 1), "the other platform is nowhere");
    assert_eq!(here.push(&first).unwrap().1, ["exists", "exists"]);
    assert_eq!(here.push(&second).unwrap().1, ["mounted from a/b", "mounted from a/b"]);
    let pulled = there.pull(&second, false).unwrap();
    assert_eq!((&pulled.id, &pulled.layers), (&image.id, &image.layers));
    let read = |host: &Host, image: &Image| fs::read(host.store.lower(image).unwrap()[1].path().join("shared")).unwrap();
    assert_eq!(read(&there, &pulled), read(&here, &image));
    // A pulled image is pushed on without a byte.
    let third = registry.name("d/e/f:v1");
    there.store.tag(&pulled, &third).unwrap();
    assert_eq!(there.push(&third).unwrap().1, ["mounted from c", "mounted from c"]);
}

#[test]
fn the_index_follows_when_all_platforms_are_there() {
    let Some(registry) = Registry::start(None) else { return };
    let name = registry.name("multi:v1");
    let mut last = None;
    for (platform, without) in [("linux/arm64", &["linux/amd64"][..]), ("linux/amd64", &[])] {
        let host = Host::new();
        let image = host.load(&archive(), Some(platform));
        host.store.tag(&image, &name).unwrap();
        let (pushed, _) = host.push(&name).unwrap();
        assert_eq!(pushed.without, without);
        last = Some((pushed, image));
    }
    let (pushed, image) = last.unwrap();
    assert_eq!(pushed.digest, image.target);
    let options = |platform: &str| PullOptions { platform: Some(platform.parse().unwrap()), ..PullOptions::default() };
    for platform in ["linux/arm64", "linux/amd64"] {
        let pulled = images::pull(&Host::new().store, &name, &options(platform), &()).unwrap();
        assert_eq!((pulled.digest, pulled.image.config.platform().to_string().as_str()), (image.target.clone(), platform));
    }
}

#[test]
fn what_is_not_kept_is_fetched_again() {
    let (Some(one), Some(two)) = (Registry::start(None), Registry::start(None)) else { return };
    let (maker, host, keeper) = (Host::new(), Host::new(), Host::new());
    let image = maker.load(&archive(), Some(&host_platform()));
    let (from, to) = (one.name("a:1"), two.name("b:1"));
    maker.store.tag(&image, &from).unwrap();
    maker.push(&from).unwrap();
    let pulled = host.pull(&from, false).unwrap();
    assert_eq!((maker.blobs(&image), host.blobs(&pulled)), (2, 0));
    assert_eq!(keeper.blobs(&keeper.pull(&from, true).unwrap()), 2);
    host.store.tag(&pulled, &to).unwrap();
    assert_eq!(host.push(&to).unwrap().1, ["sent", "sent"]);
    let saved = host.save(&from).unwrap();
    assert_eq!(saved, keeper.save(&from).unwrap());
    assert_eq!(Host::new().load(&saved, None).manifest, image.manifest);
    // Either of the two that have it will do, and none is an error; what is kept needs nobody.
    drop(one);
    assert_eq!(saved, host.save(&from).unwrap());
    drop(two);
    let error = host.save(&from).unwrap_err();
    assert!(error.contains("is not kept here, and fetching it again failed: blob ") && error.contains("refused"), "{error}");
    assert_eq!(saved, keeper.save(&from).unwrap());
}

#[test]
fn who_is_let_in() {
    // The password is "open sesame".
    let accounts = "tester:$2y$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW\n";
    let Some(registry) = Registry::start(Some(accounts)) else { return };
    let host = Host::new();
    let image = host.load(&archive(), Some(&host_platform()));
    let name = registry.name("private/a:1");
    host.store.tag(&image, &name).unwrap();
    let error = host.push(&name).unwrap_err();
    assert!(error.ends_with("401: log in, or check the name: the repository is private or does not exist"), "{error}");
    let login = |password: &str| images::login(&registry.address, "tester", password, &Registries::default(), &host.config);
    let error = chain(&login("wrong").unwrap_err());
    assert!(error.ends_with("401: wrong password for user \"tester\": log in again"), "{error}");
    assert!(!host.config.exists());
    assert!(login("open sesame").unwrap().checked);
    assert_eq!(host.push(&name).unwrap().1, ["sent", "sent"]);
    assert!(host.pull(&name, false).is_ok());
    assert!(images::logout(&registry.address, &host.config).unwrap());
    assert!(host.pull(&name, false).is_err());
}

/// A second opinion on what we write, where skopeo is installed.
#[test]
fn skopeo_reads_it() {
    let Some(registry) = Registry::start(None) else { return };
    if Command::new("skopeo").arg("--version").output().is_err() {
        eprintln!("skipped: needs skopeo");
        return;
    }
    let host = Host::new();
    let image = host.load(&archive(), Some(&host_platform()));
    let name = registry.name("a:1");
    host.store.tag(&image, &name).unwrap();
    host.push(&name).unwrap();
    let path = host.folder.path().join("a.tar");
    File::create(&path).unwrap().write_all(&host.save(&name).unwrap()).unwrap();
    let path = path.display();
    let remote = format!("docker://{name}");
    for source in [remote.clone(), format!("docker-archive:{path}"), format!("oci-archive:{path}:1")] {
        let config = skopeo(&["inspect", "--tls-verify=false", "--config", "--raw", &source]);
        assert_eq!(Digest::sha256(&config), image.id, "{source}");
        let folder = tempfile::tempdir().unwrap();
        let target = format!("dir:{}", folder.path().display());
        skopeo(&["--insecure-policy", "copy", "-q", "--src-tls-verify=false", &source, &target]);
        let layer = |layer: &images::Layer| folder.path().join(layer.digest.hex()).exists();
        assert!(source.starts_with("docker-archive") || image.layers.iter().all(layer), "{source}");
    }
    // And the other way: what skopeo writes is the same image.
    let written = host.folder.path().join("skopeo.tar");
    for format in ["docker-archive", "oci-archive"] {
        let _ = fs::remove_file(&written);
        skopeo(&[
            "--insecure-policy",
            "copy",
            "-q",
            "--src-tls-verify=false",
            &remote,
            &format!("{format}:{}:y:2", written.display()),
        ]);
        let loaded = Host::new().load(&fs::read(&written).unwrap(), None);
        assert_eq!((&loaded.id, loaded.names[0].familiar().as_str()), (&image.id, "y:2"), "{format}");
    }
}

fn skopeo(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("skopeo").args(arguments).env("TMPDIR", Path::new("/tmp")).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
