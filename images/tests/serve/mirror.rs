//! The read-through cache in front of another registry of ours.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use images::Digest;
use images::serve::{Keep, Upstream};
use images::{Credentials, Registries};

use crate::host::Host;

fn mirror(registry: String) -> Host {
    mirror_over(tempfile::tempdir().unwrap(), registry)
}

fn mirror_over(folder: tempfile::TempDir, registry: String) -> Host {
    mirror_with(folder, registry, Keep::default())
}

/// One that does not wait long for the upstream.
fn impatient(folder: tempfile::TempDir, registry: String) -> Host {
    Host::over(folder, |options| {
        let (registries, credentials, keep) = (Registries::default(), Credentials::default(), Keep::default());
        options.mirror = Some(Upstream { registry, registries, credentials, keep });
        options.limits.upstream = Duration::from_millis(300);
    })
}

fn mirror_with(folder: tempfile::TempDir, registry: String, keep: Keep) -> Host {
    Host::over(folder, |options| {
        let (registries, credentials) = (Registries::default(), Credentials::default());
        options.mirror = Some(Upstream { registry, registries, credentials, keep });
    })
}

#[test]
fn what_is_not_here_is_fetched_and_kept() {
    let upstream = Host::new();
    let content: Vec<u8> = (0..3_000_000_u32).map(|number| (number * 7) as u8).collect();
    let manifest = upstream.push("a/b", "v1", &content);
    let layer = Digest::sha256(&content);
    let host = mirror(upstream.address.to_string());
    let blob = format!("/v2/a/b/blobs/{layer}");
    assert_eq!(host.send("HEAD", "/v2/a/b/manifests/v1", &[], b"").header("docker-content-digest"), manifest.as_str());
    assert_eq!(host.send("HEAD", &blob, &[], b"").header("content-length"), "3000000");
    assert!(!host.files().iter().any(|file| file.contains(layer.hex())), "a HEAD fetches nothing");
    assert!(host.get(&blob).body == content);
    assert_eq!(host.send("GET", &blob, &[("range", "bytes=2999999-")], b"").body, content[2_999_999..]);
    // A tag that moves is followed.
    let second = upstream.push("a/b", "v1", b"new");
    assert_eq!(host.get("/v2/a/b/manifests/v1").header("docker-content-digest"), second.as_str());
    assert_eq!(host.get("/v2/a/b/manifests/v2").refusal(), (404, "MANIFEST_UNKNOWN".into()));
    assert_eq!(host.get(&format!("/v2/a/b/blobs/{}", Digest::sha256(b"none"))).refusal(), (404, "BLOB_UNKNOWN".into()));
    assert_eq!(host.send("POST", "/v2/a/b/blobs/uploads/", &[], b"").refusal(), (405, "UNSUPPORTED".into()));
    // And when nobody is there any more, what was kept is served.
    let address = upstream.address.to_string();
    drop(upstream);
    let host = mirror_over(host.end(), address);
    assert_eq!(host.get("/v2/a/b/manifests/v1").header("docker-content-digest"), second.as_str());
    assert_eq!(host.get(&format!("/v2/a/b/manifests/{manifest}")).status, 200);
    assert!(host.get(&blob).body == content);
    let gone = host.get("/v2/c/manifests/v1");
    assert_eq!(gone.refusal(), (502, "UNKNOWN".into()));
    assert!(host.files().iter().all(|file| !file.starts_with("uploads/")));
}

/// An upstream that sends one blob slowly, and counts how often it is asked for it.
struct Slow {
    address: String,
    asked: Arc<AtomicUsize>,
}

impl Slow {
    /// `content` under `digest`, whatever it is, in two halves: the second one when `gate` is dropped.
    fn start(content: &'static [u8], gate: std::sync::mpsc::Receiver<()>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        std::thread::spawn(move || {
            let gate = Arc::new(std::sync::Mutex::new(gate));
            for stream in listener.incoming().map_while(Result::ok) {
                let (counted, gate) = (counted.clone(), gate.clone());
                std::thread::spawn(move || answer(stream, content, &counted, &gate));
            }
        });
        Slow { address, asked }
    }
}

fn answer(mut stream: TcpStream, content: &[u8], asked: &AtomicUsize, gate: &std::sync::Mutex<std::sync::mpsc::Receiver<()>>) {
    let mut buffer = Vec::new();
    loop {
        let mut byte = [0; 1];
        while !buffer.ends_with(b"\r\n\r\n") {
            match stream.read(&mut byte) {
                Ok(1) => buffer.push(byte[0]),
                _ => return,
            }
        }
        let head = buffer.starts_with(b"HEAD");
        buffer.clear();
        let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", content.len());
        if head {
            continue;
        }
        asked.fetch_add(1, Ordering::SeqCst);
        let (first, second) = content.split_at(content.len() / 2);
        let _ = stream.write_all(first);
        // Ends when the test lets go.
        let _ = gate.lock().unwrap().recv();
        let _ = stream.write_all(second);
    }
}

static CONTENT: [u8; 4 << 20] = [7; 4 << 20];

#[test]
fn one_download_for_all_who_ask() {
    let (go, gate) = std::sync::mpsc::channel();
    let slow = Slow::start(&CONTENT, gate);
    let digest = Digest::sha256(&CONTENT);
    let host = mirror(slow.address.clone());
    let ask = || {
        let mut stream = host.connect();
        write!(stream, "GET /v2/a/blobs/{digest} HTTP/1.1\r\nhost: r\r\nconnection: close\r\n\r\n").unwrap();
        // The first half comes while the second one is not there yet.
        let mut first = vec![0; 1 << 20];
        stream.read_exact(&mut first).unwrap();
        stream
    };
    let streams = [ask(), ask(), ask()];
    assert_eq!(slow.asked.load(Ordering::SeqCst), 1);
    // One of them goes away: the others do not care.
    let [gone, rest @ ..] = streams;
    drop(gone);
    drop(go);
    for mut stream in rest {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        assert!(all.ends_with(&CONTENT[..2 << 20]) && all.len() + (1 << 20) > CONTENT.len());
    }
    assert!(host.get(&format!("/v2/a/blobs/{digest}")).body == CONTENT);
    assert_eq!(slow.asked.load(Ordering::SeqCst), 1);
}

/// No client takes what an upstream sends under a wrong digest for complete, and nothing of it stays.
#[test]
fn an_upstream_that_lies() {
    let (go, gate) = std::sync::mpsc::channel();
    drop(go);
    let slow = Slow::start(&CONTENT, gate);
    let digest = Digest::sha256(b"something else");
    let host = mirror(slow.address.clone());
    let mut stream = host.connect();
    write!(stream, "GET /v2/a/blobs/{digest} HTTP/1.1\r\nhost: r\r\nconnection: close\r\n\r\n").unwrap();
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    let head = all.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(all.len());
    assert!(all.len().saturating_sub(head + 4) < CONTENT.len(), "the last byte is held back");
    drop(host.get("/v2/"));
    let folder = host.end();
    assert_eq!(crate::host::files(folder.path()), [] as [String; 0]);
}

/// What is deleted here is fetched again; nothing is deleted upstream.
#[test]
fn what_is_deleted_is_fetched_again() {
    let upstream = Host::new();
    let manifest = upstream.push("a/b", "v1", b"layer");
    let before = upstream.files();
    let host = mirror(upstream.address.to_string());
    let blob = format!("/v2/a/b/blobs/{}", Digest::sha256(b"layer"));
    let delete = |path: &str| host.send("DELETE", path, &[], b"").status;
    assert_eq!(delete(&blob), 404, "it is not here yet");
    for round in 0..2 {
        assert_eq!((host.get("/v2/a/b/manifests/v1").status, host.get(&blob).status), (200, 200), "{round}");
        assert_eq!((delete(&blob), delete(&blob)), (202, 404));
        assert_eq!(delete(&format!("/v2/a/b/manifests/{manifest}")), 202);
        assert_eq!(host.files(), [] as [String; 0]);
    }
    assert_eq!(host.put_manifest("a/b", "v2", &serde_json::json!({})).refusal(), (405, "UNSUPPORTED".into()));
    assert_eq!(upstream.files(), before);
    let read_only = Host::over(host.end(), |options| options.read_only = true);
    assert_eq!(read_only.send("DELETE", &blob, &[], b"").refusal(), (405, "UNSUPPORTED".into()));
}

/// As if the file had been asked for last so long ago.
fn age(host: &Host, digest: &Digest, seconds: u64) {
    let file = std::fs::File::open(host.root().join("registry/blobs/sha256").join(digest.hex())).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
}

#[test]
fn no_more_is_kept_than_may_be() {
    let upstream = Host::new();
    let layers = [vec![1; 1000], vec![2; 1000], vec![3; 1000]];
    for (number, layer) in layers.iter().enumerate() {
        upstream.push("a", &format!("v{number}"), layer);
    }
    let keep = Keep { bytes: Some(2500), unused: None };
    let host = mirror_with(tempfile::tempdir().unwrap(), upstream.address.to_string(), keep);
    let digests = layers.each_ref().map(|layer| Digest::sha256(layer));
    let get = |at: usize| {
        assert!(host.get(&format!("/v2/a/blobs/{}", digests[at])).body == layers[at]);
    };
    let kept = |at: usize| host.files().contains(&format!("blobs/sha256/{}", digests[at].hex()));
    (0..2).for_each(get);
    age(&host, &digests[0], 1000);
    age(&host, &digests[1], 500);
    // Asked for again: now it is the other one that goes.
    get(0);
    get(2);
    crate::host::soon(|| !kept(1));
    assert!(kept(0) && kept(2));
    get(1);
    // More than all that may be: it is sent, and not kept.
    let large = vec![4; 5000];
    let digest = upstream.push_blob("a", &large);
    assert!(host.get(&format!("/v2/a/blobs/{digest}")).body == large);
    crate::host::soon(|| host.files().is_empty());
}

#[test]
fn what_nobody_asks_for_goes() {
    let upstream = Host::new();
    let (old, new) = (upstream.push("a", "old", b"old layer"), upstream.push("a", "new", b"new layer"));
    let address = upstream.address.to_string();
    let host = mirror(address.clone());
    for tag in ["old", "new"] {
        assert_eq!(host.get(&format!("/v2/a/manifests/{tag}")).status, 200);
    }
    age(&host, &old, 7200);
    age(&host, &new, 1800);
    let keep = Keep { bytes: None, unused: Some(Duration::from_secs(3600)) };
    let host = mirror_with(host.end(), address, keep);
    let left = [format!("blobs/sha256/{}", new.hex()), "refs/a/:new".to_owned(), format!("refs/a/@{new}")];
    crate::host::soon(|| host.files() == left);
}

/// Its clients need not wait long for an upstream that takes connections and says nothing.
#[test]
fn an_upstream_that_stalls() {
    let upstream = Host::new();
    let manifest = upstream.push("a", "v1", b"layer");
    let host = mirror(upstream.address.to_string());
    let blob = format!("/v2/a/blobs/{}", Digest::sha256(b"layer"));
    assert_eq!((host.get("/v2/a/manifests/v1").status, host.get(&blob).status), (200, 200));
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = impatient(host.end(), silent.local_addr().unwrap().to_string());
    for _ in 0..20 {
        assert_eq!(host.get("/v2/a/manifests/v1").header("docker-content-digest"), manifest.as_str());
    }
    assert_eq!(host.get(&blob).body, b"layer");
    let asked = |listener: &TcpListener| {
        listener.set_nonblocking(true).unwrap();
        std::iter::from_fn(|| listener.accept().ok()).count()
    };
    assert_eq!(asked(&silent), 1, "it is asked once, and then not for a while");
    assert_eq!(host.get("/v2/b/manifests/v1").refusal(), (502, "UNKNOWN".into()));
    assert_eq!(host.get(&format!("/v2/a/blobs/{}", Digest::sha256(b"x"))).refusal(), (502, "UNKNOWN".into()));
}

/// An upstream that goes silent in the middle of a blob: who waits for it hears of it, and nothing stays.
#[test]
fn an_upstream_that_stalls_in_a_blob() {
    let (_never, gate) = std::sync::mpsc::channel();
    let slow = Slow::start(&CONTENT, gate);
    let host = impatient(tempfile::tempdir().unwrap(), slow.address.clone());
    let mut stream = host.connect();
    write!(stream, "GET /v2/a/blobs/{} HTTP/1.1\r\nhost: r\r\nconnection: close\r\n\r\n", Digest::sha256(&CONTENT)).unwrap();
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    assert!(all.starts_with(b"HTTP/1.1 200") && all.len() < CONTENT.len());
    crate::host::soon(|| host.files().is_empty());
}
