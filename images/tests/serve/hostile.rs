//! What strangers try.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use images::Digest;

use crate::host::{Host, MANIFEST, receive};

/// Nothing of a path reaches the file system unparsed.
#[test]
fn paths_that_lead_outside() {
    let host = Host::new();
    std::fs::write(host.root().join("secret"), "secret").unwrap();
    host.push("a", "v1", b"layer");
    let before = host.files();
    for path in [
        "/v2/../../secret",
        "/v2/../tags/list",
        "/v2/%2e%2e/%2e%2e/tags/list",
        "/v2/a/manifests/../../../secret",
        "/v2/a/manifests/%2e%2e%2f%2e%2e%2fsecret",
        "/v2/a/manifests/..",
        "/v2/a/blobs/sha256:..%2f..%2fsecret",
        "/v2/a/blobs/uploads/..%2f..%2fsecret",
        "/v2/a/blobs/uploads/../../secret",
        "/v2/a%00/tags/list",
        "/v2/:v1/tags/list",
        "/v2/a/:v1/manifests/x",
        "/v2/blobs/sha256/tags/list",
        "//v2//a/tags/list",
        "/v2/a\\..\\b/tags/list",
        "http://elsewhere/v2/../../secret",
        "*",
    ] {
        for method in ["GET", "HEAD", "PUT", "DELETE", "POST", "PATCH"] {
            let answer = host.send(method, path, &[("content-type", MANIFEST)], b"");
            assert!(matches!(answer.status, 400 | 404 | 405), "{method} {path}: {answer:?}");
            assert!(!String::from_utf8_lossy(&answer.body).contains("secret\n"), "{method} {path}");
        }
    }
    for query in ["mount=../../x&from=a", "mount=sha256:0&from=../..", "digest=../x"] {
        assert_eq!(host.send("POST", &format!("/v2/a/blobs/uploads/?{query}"), &[], b"").status, 400, "{query}");
    }
    assert_eq!(host.get("/v2/a/tags/list?last=../../&n=5").json()["tags"][0], "v1");
    assert_eq!(host.files(), before);
    assert_eq!(std::fs::read(host.root().join("secret")).unwrap(), b"secret");
    assert_eq!(*host.notices.lock().unwrap(), [] as [String; 0]);
}

#[test]
fn a_manifest_that_is_too_large() {
    let host = Host::new();
    let limit = 4 << 20;
    let told = host.send("PUT", "/v2/a/manifests/v1", &[("content-length", "100000000000")], b"");
    assert_eq!(told.refusal(), (413, "SIZE_INVALID".into()));
    let mut body = format!("{:x}\r\n", limit + 1).into_bytes();
    body.resize(body.len() + limit + 1, b' ');
    body.extend_from_slice(b"\r\n0\r\n\r\n");
    let untold = host.send("PUT", "/v2/a/manifests/v1", &[("transfer-encoding", "chunked")], &body);
    assert_eq!(untold.refusal(), (413, "SIZE_INVALID".into()));
    // One of just the size that registries must take is read, and is no manifest.
    assert_eq!(host.send("PUT", "/v2/a/manifests/v1", &[], &vec![b' '; limit]).refusal(), (400, "MANIFEST_INVALID".into()));
    assert_eq!(host.files(), [] as [String; 0]);
}

#[test]
fn a_blob_that_is_too_large() {
    let host = Host::with(|options| options.limits.blob = 1000);
    let location = host.send("POST", "/v2/a/blobs/uploads/", &[], b"").header("location").to_owned();
    assert_eq!(host.send("PATCH", &location, &[], &[0; 1001]).refusal(), (413, "SIZE_INVALID".into()));
    assert_eq!(host.send("PATCH", &location, &[], &[0; 600]).status, 202);
    assert_eq!(host.send("PATCH", &location, &[], &[0; 600]).status, 413);
    let chunked = [b"258\r\n".as_slice(), &[0; 600], b"\r\n0\r\n\r\n"].concat();
    assert_eq!(host.send("PATCH", &location, &[("transfer-encoding", "chunked")], &chunked).status, 413);
    assert_eq!(host.get(&location).header("range"), "0-599", "what did not fit is not there");
}

#[test]
fn too_many_uploads() {
    let host = Host::with(|options| options.limits.uploads = 3);
    let begin = || host.send("POST", "/v2/a/blobs/uploads/", &[], b"");
    let first = begin().header("location").to_owned();
    begin();
    begin();
    assert_eq!(begin().refusal(), (429, "TOOMANYREQUESTS".into()));
    host.send("DELETE", &first, &[], b"");
    assert_eq!(begin().status, 202);
}

#[test]
fn clients_that_go_away() {
    let host = Host::new();
    let location = host.send("POST", "/v2/a/blobs/uploads/", &[], b"").header("location").to_owned();
    let mut stream = host.connect();
    let head = format!("PATCH {location} HTTP/1.1\r\nhost: r\r\ncontent-length: 1000\r\n\r\n");
    stream.write_all(&[head.as_bytes(), b"0123456789"].concat()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    // The registry gives the connection up, and what came stays.
    let _ = stream.read_to_end(&mut Vec::new());
    let so_far = host.get(&location);
    assert_eq!((so_far.status, so_far.header("range")), (204, "0-9"));
    let digest = Digest::sha256(b"0123456789ab");
    let rest = host.send("PUT", &format!("{location}?digest={digest}"), &[("content-range", "10-11")], b"ab");
    assert_eq!(rest.status, 201);
}

#[test]
fn slow_clients() {
    let host = Host::with(|options| options.limits.idle = Duration::from_millis(300));
    let location = host.send("POST", "/v2/a/blobs/uploads/", &[], b"").header("location").to_owned();
    // Headers that never end.
    let began = Instant::now();
    let mut stream = host.connect();
    stream.write_all(b"GET /v2/ HTTP/1.1\r\nx: ").unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(began.elapsed() < Duration::from_secs(5));
    // A connection that asks for nothing.
    let mut stream = host.connect();
    let _ = stream.read_to_end(&mut rest);
    assert!(began.elapsed() < Duration::from_secs(5));
    // A body that never ends.
    let mut stream = host.connect();
    write!(stream, "PATCH {location} HTTP/1.1\r\nhost: r\r\ncontent-length: 1000\r\n\r\n0123").unwrap();
    assert_eq!(receive(&mut stream, false).status, 408);
    assert_eq!(host.get(&location).header("range"), "0-3");
    // An answer that nobody takes: the connection ends once buffers are full.
    let digest = host.push_blob("a", &vec![7; 64 << 20]);
    let mut stream = host.connect();
    write!(stream, "GET /v2/a/blobs/{digest} HTTP/1.1\r\nhost: r\r\n\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    let taken = std::io::copy(&mut stream, &mut std::io::sink()).unwrap_or_default();
    assert!(taken < 64 << 20, "{taken}");
}

#[test]
fn connections_are_counted() {
    let host = Host::with(|options| options.limits.connections = 2);
    let (one, two) = (host.connect(), host.connect());
    let mut third = host.connect();
    third.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    third.write_all(b"GET /v2/ HTTP/1.1\r\nhost: r\r\n\r\n").unwrap();
    assert!(third.read(&mut [0; 1]).is_err(), "it has to wait");
    drop(one);
    third.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    assert_eq!(receive(&mut third, false).status, 200);
    drop(two);
}

#[test]
fn what_is_no_http() {
    let host = Host::new();
    for bytes in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"\0\0\0\0\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"] {
        let mut stream = host.connect();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    }
    let mut stream = host.connect();
    stream.write_all(b"GET /v2/ HTTP/1.1\r\n").unwrap();
    let header = [b"x: ".as_slice(), &[b'a'; 60_000], b"\r\n"].concat();
    let sent = (0..10).take_while(|_| stream.write_all(&header).is_ok()).count();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(sent < 10 || answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(host.get("/v2/").status, 200);
}
