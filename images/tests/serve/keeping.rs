//! What stays on disk, who may come in, and how it ends.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use images::Digest;
use images::serve::Server;

use crate::host::{Host, options, receive};

#[test]
fn what_it_looks_like() {
    let host = Host::new();
    let manifest = host.push("a/b", "v1", b"layer");
    let (config, layer) = (Digest::sha256(b"{}"), Digest::sha256(b"layer"));
    let mut expected = vec![format!("refs/a/b/:v1"), format!("refs/a/b/@{manifest}")];
    expected.extend([&config, &layer].map(|digest| format!("refs/a/b/+{digest}")));
    expected.extend([&config, &layer, &manifest].map(|digest| format!("blobs/sha256/{}", digest.hex())));
    expected.sort();
    assert_eq!(host.files(), expected);
    assert_eq!(fs::read_to_string(host.root().join("registry/refs/a/b/:v1")).unwrap(), format!("{manifest}\n"));
    let again = Host::over(host.end(), |_| ());
    assert_eq!(again.get("/v2/a/b/manifests/v1").status, 200);
    assert_eq!(again.files(), expected);
}

/// As if the last process had been killed at any moment.
#[test]
fn garbage_goes_at_the_next_start() {
    let host = Host::new();
    host.push("a", "v1", b"layer");
    let expected = host.files();
    let open = host.send("POST", "/v2/a/blobs/uploads/", &[], b"").header("location").to_owned();
    host.send("PATCH", &open, &[], b"some");
    let root = host.root().join("registry");
    fs::write(root.join("uploads").join("0".repeat(32)), "half").unwrap();
    let unused = root.join("blobs/sha256").join(Digest::sha256(b"unused").hex());
    fs::write(unused, "unused").unwrap();
    let host = Host::over(host.end(), |_| ());
    assert_eq!(host.files(), expected);
    assert_eq!(host.get(&open).refusal(), (404, "BLOB_UPLOAD_UNKNOWN".into()));
}

#[test]
fn blobs_that_no_manifest_names() {
    let host = Host::new();
    let gone = host.push("a", "old", b"old layer");
    host.push("a", "new", b"new layer");
    host.push("b", "old", b"old layer");
    host.push_blob("c", b"never named");
    assert_eq!(host.send("DELETE", &format!("/v2/a/manifests/{gone}"), &[], b"").status, 202);
    let before = host.files();
    let host = Host::over(host.end(), |options| options.prune = Some(Duration::from_secs(3600)));
    assert_eq!(host.files(), before, "a push may be about to name them");
    let host = Host::over(host.end(), |options| options.prune = Some(Duration::ZERO));
    let (old, never) = (Digest::sha256(b"old layer"), Digest::sha256(b"never named"));
    let left: Vec<String> =
        before.iter().filter(|file| !file.contains(never.hex()) && **file != format!("refs/a/+{old}")).cloned().collect();
    assert_eq!(host.files(), left);
    assert_eq!(host.get(&format!("/v2/b/blobs/{old}")).status, 200);
}

#[test]
fn one_process_at_a_time() {
    let host = Host::new();
    let error = Server::bind(options(&host.root())).map(drop).unwrap_err();
    let root = host.root().join("registry");
    assert_eq!(error.to_string(), format!("{} is served by another process", root.display()));
    let folder = tempfile::tempdir().unwrap();
    let mut taken = options(folder.path());
    taken.listen = host.address;
    let error = Server::bind(taken).map(drop).unwrap_err();
    assert_eq!(error.to_string(), format!("listen on {}", host.address));
    assert!(Server::bind(options(folder.path())).is_ok(), "the lock is given up");
}

/// A disk that cannot be written is our fault, and says nothing about this host to strangers.
#[test]
fn failures_of_the_disk() {
    let host = Host::new();
    fs::remove_dir(host.root().join("registry/uploads")).unwrap();
    let answer = host.send("POST", "/v2/a/blobs/uploads/", &[], b"");
    assert_eq!(answer.refusal(), (500, "UNKNOWN".into()));
    assert!(!String::from_utf8_lossy(&answer.body).contains("registry/uploads"));
    let notices = host.notices.lock().unwrap();
    assert!(notices.len() == 1 && notices[0].starts_with("POST /v2/a/blobs/uploads/: "), "{notices:?}");
}

#[test]
fn who_may_come_in() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("htpasswd");
    // "open sesame" at cost 5.
    fs::write(&file, "tester:$2y$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW\n").unwrap();
    let host = Host::with(|options| options.htpasswd = Some(file));
    for path in ["/v2/", "/v2/a/tags/list", "/nothing"] {
        let answer = host.get(path);
        assert_eq!(answer.refusal(), (401, "UNAUTHORIZED".into()));
        assert!(answer.header("www-authenticate").starts_with("Basic realm="));
    }
    let with = |login: &str| {
        let value = format!("Basic {}", BASE64_STANDARD.encode(login));
        host.send("GET", "/v2/", &[("authorization", &value)], b"").status
    };
    assert_eq!((with("tester:open sesame"), with("tester:wrong"), with("other:open sesame")), (200, 401, 401));
    let weak = folder.path().join("weak");
    fs::write(&weak, "me:{SHA}x\n").unwrap();
    let mut wrong = options(folder.path());
    wrong.htpasswd = Some(weak.clone());
    let error = Server::bind(wrong).map(drop).unwrap_err().to_string();
    assert_eq!(error, format!("{}: line 1: the hash of \"me\" is not bcrypt: make it with htpasswd -B", weak.display()));
}

#[test]
fn certificates() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (chain, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    fs::write(&chain, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let host = Host::with(|options| options.tls = Some((chain.clone(), key.clone())));
    // A peer that speaks plain http is turned away.
    let mut stream = host.connect();
    stream.write_all(b"GET /v2/ HTTP/1.1\r\nhost: r\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"));
    for (chain, key, said) in [(&key, &key, "there is no certificate"), (&chain, &chain, "no PEM private key")] {
        let mut wrong = options(folder.path());
        wrong.tls = Some((chain.clone(), key.clone()));
        let error = Server::bind(wrong).map(drop).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

/// A PUT that the registry waits for.
fn under_way(host: &Host, digest: &Digest) -> TcpStream {
    let location = host.send("POST", "/v2/a/blobs/uploads/", &[], b"").header("location").to_owned();
    let mut stream = host.connect();
    let head = "host: r\r\nexpect: 100-continue\r\ncontent-length: 10\r\n\r\n";
    stream.write_all(format!("PUT {location}?digest={digest} HTTP/1.1\r\n{head}").as_bytes()).unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

#[test]
fn what_is_under_way_may_end() {
    let host = Host::new();
    let mut slow = under_way(&host, &Digest::sha256(b"0123456789"));
    let mut idle = host.connect();
    let address = host.address;
    let ending = std::thread::spawn(move || host.end());
    // It closes what is idle, and takes nobody new.
    let _ = idle.read(&mut [0; 1]);
    slow.write_all(b"0123456789").unwrap();
    assert_eq!(receive(&mut slow, false).status, 201);
    let _folder = ending.join().unwrap();
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn what_does_not_end_is_cut_off() {
    let host = Host::with(|options| options.limits.grace = Duration::from_millis(300));
    let mut slow = under_way(&host, &Digest::sha256(b"0123456789"));
    let began = Instant::now();
    let folder = host.end();
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(slow.read_to_end(&mut Vec::new()).unwrap_or_default(), 0);
    // The half upload goes at the next start.
    assert_eq!(crate::host::files(folder.path()).len(), 1);
    assert_eq!(Host::over(folder, |_| ()).files(), [] as [String; 0]);
}
