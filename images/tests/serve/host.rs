//! A registry in a folder of its own, and a client that sends exactly the bytes it is told to.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use images::Digest;
use images::serve::{Limits, Options, Server};
use serde_json::{Value, json};

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A registry that ends with this value.
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    folder: Option<tempfile::TempDir>,
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
    /// What the operator would read.
    pub(crate) notices: Arc<Mutex<Vec<String>>>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The code of a refusal.
    pub(crate) fn code(&self) -> String {
        self.json()["errors"][0]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// Status and code of a refusal.
    pub(crate) fn refusal(&self) -> (u16, String) {
        (self.status, self.code())
    }
}

impl Host {
    pub(crate) fn new() -> Self {
        Self::with(|_| ())
    }

    /// With other options than usual.
    pub(crate) fn with(change: impl FnOnce(&mut Options)) -> Self {
        Self::over(tempfile::tempdir().unwrap(), change)
    }

    pub(crate) fn over(folder: tempfile::TempDir, change: impl FnOnce(&mut Options)) -> Self {
        let notices = Arc::new(Mutex::new(Vec::new()));
        let heard = notices.clone();
        let mut options = options(folder.path());
        options.notice = Arc::new(move |asked, error| heard.lock().unwrap().push(format!("{asked}: {error}")));
        change(&mut options);
        let server = Server::bind(options).unwrap();
        let address = server.address();
        let (reader, writer) = std::io::pipe().unwrap();
        let thread = std::thread::spawn(move || server.run(reader.into()).unwrap());
        Host { address, folder: Some(folder), stop: Some(writer.into()), thread: Some(thread), notices }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.as_ref().unwrap().path().to_owned()
    }

    /// Ends the registry and returns its folder.
    pub(crate) fn end(mut self) -> tempfile::TempDir {
        self.stop = None;
        self.thread.take().unwrap().join().unwrap();
        self.folder.take().unwrap()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut stream = self.connect();
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: registry\r\nconnection: close\r\n");
        headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
        if !headers.iter().any(|(name, _)| *name == "content-length" || *name == "transfer-encoding") {
            head += &format!("content-length: {}\r\n", body.len());
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
        // It may have answered, and closed, before all was sent.
        let _ = stream.write_all(body);
        receive(&mut stream, method == "HEAD")
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    pub(crate) fn push_blob(&self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::sha256(bytes);
        let answer = self.send("POST", &format!("/v2/{repository}/blobs/uploads/?digest={digest}"), &[], bytes);
        assert_eq!(answer.status, 201, "{answer:?}");
        digest
    }

    pub(crate) fn put_manifest(&self, repository: &str, what: &str, manifest: &Value) -> Answer {
        let media_type = manifest["mediaType"].as_str().unwrap_or(MANIFEST).to_owned();
        let headers = [("content-type", media_type.as_str())];
        self.send("PUT", &format!("/v2/{repository}/manifests/{what}"), &headers, manifest.to_string().as_bytes())
    }

    /// An image of one layer with this content under a tag. Answers with the manifest's digest.
    pub(crate) fn push(&self, repository: &str, tag: &str, content: &[u8]) -> Digest {
        let manifest = self.image(repository, content);
        let answer = self.put_manifest(repository, tag, &manifest);
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.header("docker-content-digest").parse().unwrap()
    }

    /// The blobs of an image, pushed, and its manifest.
    pub(crate) fn image(&self, repository: &str, content: &[u8]) -> Value {
        let (config, layer) = (self.push_blob(repository, b"{}"), self.push_blob(repository, content));
        json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": content.len()}],
        })
    }

    /// All files below the registry's folder but the lock, in order.
    pub(crate) fn files(&self) -> Vec<String> {
        files(&self.root())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub(crate) fn options(root: &Path) -> Options {
    Options {
        listen: "127.0.0.1:0".parse().unwrap(),
        root: root.join("registry"),
        read_only: false,
        htpasswd: None,
        tls: None,
        mirror: None,
        prune: None,
        limits: Limits::default(),
        notice: Arc::new(|_, _| ()),
    }
}

pub(crate) fn files(root: &Path) -> Vec<String> {
    fn walk(folder: &Path, below: &str, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let name = format!("{below}{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                walk(&entry.path(), &format!("{name}/"), found);
            } else if name != "serve.lock" {
                found.push(name);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root.join("registry"), "", &mut found);
    found.sort();
    found
}

/// Waits until something is so.
pub(crate) fn soon(so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !so() {
        assert!(Instant::now() < end, "it does not come to be");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Reads one answer.
pub(crate) fn receive(stream: &mut TcpStream, head: bool) -> Answer {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no answer: {line:?}"));
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let mut body = Vec::new();
    if !head && status != 204 && status != 304 {
        match headers.get("content-length").and_then(|length| length.parse::<u64>().ok()) {
            Some(length) => drop(reader.take(length).read_to_end(&mut body).unwrap()),
            None => drop(reader.read_to_end(&mut body).unwrap()),
        }
    }
    Answer { status, headers, body }
}
