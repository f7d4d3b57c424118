//! Watches that nobody reads, and very many of them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api::kinds::config::CONFIG_MAP;
use rustls::RootCertStore;
use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::certs::Authority;
use crate::objects::Context;
use crate::{Config, ControlPlane, serve_with};

const TOKEN: &str = "token-of-ann";

struct Plane {
    plane: ControlPlane,
    folder: tempfile::TempDir,
}

impl Plane {
    async fn start(patience: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            folder: folder.path().to_owned(),
            etcd: None,
            listen: "127.0.0.1:0".parse().unwrap(),
            names: Vec::new(),
            tokens: format!("{TOKEN},ann,7,\"system:masters\"\n"),
            settings: Default::default(),
            times: Default::default(),
            node_certificates: crate::certs::NODE,
        };
        Self { plane: serve_with(config, patience).await.unwrap(), folder }
    }

    /// A connection with one request on it.
    async fn ask(&self, path: &str) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(Authority::open(self.folder.path()).unwrap().der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let connector = TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
        let address: SocketAddr = self.plane.address;
        let stream = TcpStream::connect(address).await.unwrap();
        let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// Makes an object with so many bytes in it.
    async fn make(&self, name: &str, bytes: usize) {
        let map = json!({"metadata": {"name": name}, "data": {"a": "x".repeat(bytes)}});
        self.plane.objects.create(&CONFIG_MAP, "default", map, &Context::default()).await.unwrap();
    }

    /// Whether the server still has this connection.
    fn has(&self, client: &TlsStream<TcpStream>) -> bool {
        let port = |port: u16| format!("0100007F:{port:04X}");
        let ends = format!("{} {} 01", port(self.plane.address.port()), port(client.get_ref().0.local_addr().unwrap().port()));
        std::fs::read_to_string("/proc/net/tcp").unwrap().contains(&ends)
    }
}

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_is_never_read_ends_and_a_list_does_not() {
    // together more than all buffers on the way hold
    const COUNT: usize = 16;
    const BYTES: usize = 900_000;
    let plane = Plane::start(Duration::from_secs(1)).await;
    for number in 0..COUNT {
        plane.make(&format!("big{number}"), BYTES).await;
    }
    let mut list = plane.ask(MAPS).await;
    let watch = plane.ask(&format!("{MAPS}?watch=1")).await;
    assert!(plane.has(&watch));
    let ended = async {
        while plane.has(&watch) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("the server ends it");
    // whoever has no watch may take its time
    let (mut piece, mut total, mut last) = (vec![0; 1 << 16], 0, Vec::new());
    while !last.ends_with(b"]}") {
        let length = list.read(&mut piece).await.unwrap();
        assert!(length > 0, "it breaks off after {total} bytes");
        total += length;
        last = piece[..length].to_vec();
    }
    assert!(total > COUNT * BYTES);
}
