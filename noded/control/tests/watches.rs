//! Very many watches on one server: what each costs, that all are told, and that those who read nothing cost no more.
//!
//! The server is a process of its own, which is measured from outside. `WATCHES` is another number of them, with `integration/test --long`
//! ten thousand.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use control::{Config, certs::Authority};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};

const FOLDER: &str = "CONTROL_WATCHES_FOLDER";
const TOKEN: &str = "token-of-ann";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// Streams of one connection.
const STREAMS: usize = 500;
/// What a watch may cost the server, in bytes: connection, TLS, stream and reader.
const COST: u64 = 24 << 10;

/// Not a test of its own: the server.
#[test]
fn server() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let config = Config {
        folder: folder.into(),
        etcd: None,
        listen: "127.0.0.1:0".parse().unwrap(),
        names: Vec::new(),
        tokens: format!("{TOKEN},ann,7,\"system:masters\"\n"),
        settings: Default::default(),
        times: Default::default(),
        node_certificates: control::certs::NODE,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let plane = runtime.block_on(control::serve(config)).unwrap();
    writeln!(std::io::stdout(), "\nserves {}", plane.address).unwrap();
    // until whoever has started it goes
    let _ = std::io::stdin().read_line(&mut String::new());
}

struct Server {
    child: Child,
    address: String,
    folder: tempfile::TempDir,
    /// A test runner whose output nobody takes ends.
    _said: Box<dyn std::io::Read + Send>,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "server", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut lines = said.by_ref().lines().map_while(Result::ok);
        let address = lines.find_map(|line| line.strip_prefix("serves ").map(String::from)).expect("it serves");
        Self { child, address, folder, _said: Box::new(said) }
    }

    /// Bytes that it has in memory.
    fn memory(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    async fn connect(&self) -> SendRequest<Full<Bytes>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(Authority::open(self.folder.path()).unwrap().der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = tokio::net::TcpStream::connect(&self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        let mut builder = http2::Builder::new(TokioExecutor::new());
        // a client that reads nothing has little room
        builder.initial_stream_window_size(4 << 10).initial_connection_window_size(1 << 30);
        let (requests, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        requests
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

async fn ask(to: &SendRequest<Full<Bytes>>, method: &str, path: &str, body: Value) -> Response<Incoming> {
    let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
    let request = Request::builder().method(method).uri(format!("https://localhost{path}"));
    let request = request.header("authorization", format!("Bearer {TOKEN}")).header("content-type", "application/json");
    let mut to = to.clone();
    to.ready().await.unwrap();
    let answer = to.send_request(request.body(Full::new(body)).unwrap()).await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    answer
}

/// Reads until a watch has told this.
async fn told(mut watch: Response<Incoming>, what: &str) -> Response<Incoming> {
    let mut text = Vec::new();
    loop {
        let frame = watch.frame().await.expect("it goes on").unwrap();
        text.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        if String::from_utf8_lossy(&text).contains(what) {
            return watch;
        }
    }
}

#[tokio::test]
async fn very_many_watches_are_told_and_cost_little_also_when_they_are_not_read() {
    let count: usize = std::env::var("WATCHES").ok().map_or(1000, |text| text.parse().unwrap());
    let server = Server::start();
    let writer = server.connect().await;
    let map = |note: &str| json!({"metadata": {"name": "a"}, "data": {"note": note}});
    let made = ask(&writer, "POST", MAPS, map("first")).await.collect().await.unwrap().to_bytes();
    let made: Value = serde_json::from_slice(&made).unwrap();
    let path = format!("{MAPS}?watch=1&resourceVersion={}", made["metadata"]["resourceVersion"].as_str().unwrap());
    let before = server.memory();
    let mut watches = Vec::new();
    while watches.len() < count {
        let connection = server.connect().await;
        let some = (0..STREAMS.min(count - watches.len())).map(|_| ask(&connection, "GET", &path, Value::Null));
        watches.extend(futures_util::future::join_all(some).await);
    }
    let each = (server.memory() - before) / count as u64;
    assert!(each < COST, "a watch costs {each} bytes");
    // all of them are told
    let _ = ask(&writer, "PUT", &format!("{MAPS}/a"), map("second")).await;
    let telling: FuturesUnordered<_> = watches.into_iter().map(|watch| told(watch, "second")).collect();
    let watches: Vec<_> = telling.collect().await;
    assert_eq!(watches.len(), count);
    // none of them reads: 4 MB are for each to hear
    let told_all = server.memory();
    for number in 0..1000 {
        let _ = ask(&writer, "PUT", &format!("{MAPS}/a"), map(&format!("{number} {}", "x".repeat(4000)))).await;
    }
    let unread = server.memory().saturating_sub(told_all) / count as u64;
    assert!(unread < 2 * COST, "a watch that is not read costs {unread} bytes more");
    let _ = writeln!(std::io::stderr(), "{count} watches: {each} bytes each; unread {unread} more, of 4 MB that are there to read");
    // whoever reads again goes on where it was
    let first = watches.into_iter().next().unwrap();
    told(first, "999 ").await;
}
