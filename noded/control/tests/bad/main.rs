//! What a server must not be confused by: bodies, revisions, patches, people and nodes that make no sense, over HTTPS as they come.

mod bodies;
mod nodes;
mod people;
mod reads;
mod scale;
mod standing;

use std::path::Path;
use std::sync::Arc;

use control::certs::Authority;
use control::{Config, ControlPlane};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;

pub(crate) const MASTER: &str = "token-of-ann";
pub(crate) const MAPS: &str = "/api/v1/namespaces/default/configmaps";
pub(crate) const JSON: &str = "application/json";

/// A client's certificate with its key.
pub(crate) type Certificate = (CertificateDer<'static>, PrivateKeyDer<'static>);

/// A connection's bytes.
type Stream = tokio_rustls::client::TlsStream<tokio::net::TcpStream>;

pub(crate) struct Plane {
    pub(crate) plane: ControlPlane,
    folder: tempfile::TempDir,
}

/// A connection; it ends when it is dropped.
pub(crate) struct Connection(http1::SendRequest<Full<Bytes>>);

impl Connection {
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, Box<dyn std::error::Error>> {
        self.0.ready().await?;
        let answer = self.0.send_request(request).await?;
        let (code, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.into_body().collect().await?.to_bytes();
        Ok(Answer { code, headers, body })
    }
}

/// What the server said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(crate) fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or("").to_owned()
    }
}

impl Plane {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            folder: folder.path().to_owned(),
            etcd: None,
            listen: "127.0.0.1:0".parse().unwrap(),
            names: Vec::new(),
            tokens: format!(
                "{MASTER},ann,7,\"system:masters\"\ntoken-of-bob,bob,8\ntoken-of-n1,system:node:n1,9,\"system:nodes\"\n"
            ),
            settings: Default::default(),
            times: Default::default(),
            node_certificates: control::certs::NODE,
        };
        Self { plane: control::serve(config).await.unwrap(), folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A connection.
    pub(crate) async fn connect(&self, certificate: Option<Certificate>) -> Result<Connection, Box<dyn std::error::Error>> {
        let (requests, connection) = http1::handshake(TokioIo::new(self.stream(certificate).await?)).await?;
        tokio::spawn(connection);
        Ok(Connection(requests))
    }

    /// What is below one.
    pub(crate) async fn stream(&self, certificate: Option<Certificate>) -> Result<Stream, Box<dyn std::error::Error>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(Authority::open(self.folder())?.der().clone())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = config.with_root_certificates(roots);
        let config = match certificate {
            Some((certificate, key)) => config.with_client_auth_cert(vec![certificate], key)?,
            None => config.with_no_client_auth(),
        };
        let stream = tokio::net::TcpStream::connect(self.plane.address).await?;
        let name = ServerName::try_from("localhost")?;
        Ok(tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await?)
    }

    /// Sends one request over a connection of its own; an error is one of the connection.
    pub(crate) async fn send(
        &self,
        certificate: Option<Certificate>,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, Box<dyn std::error::Error>> {
        self.connect(certificate).await?.send(request).await
    }

    /// The same with a token, and a body of some form; nothing is sent for an empty one.
    pub(crate) async fn ask_as(&self, token: &str, what: &str, media: &str, body: impl Into<Bytes>) -> Answer {
        let (method, path) = what.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if !media.is_empty() {
            request = request.header("content-type", media);
        }
        self.send(None, request.body(Full::new(body.into())).unwrap()).await.unwrap()
    }

    pub(crate) async fn ask(&self, what: &str, media: &str, body: impl Into<Bytes>) -> Answer {
        self.ask_as(MASTER, what, media, body).await
    }

    /// Asks for what must be refused: with this code, and these words.
    #[track_caller]
    pub(crate) fn refused<'a>(
        &'a self,
        token: &'a str,
        what: &'a str,
        media: &'a str,
        body: impl Into<Bytes> + 'a,
        (code, words): (u16, &'a str),
    ) -> impl Future<Output = ()> + 'a {
        let at = std::panic::Location::caller();
        async move {
            let answer = self.ask_as(token, what, media, body).await;
            let message = answer.message();
            assert!(answer.code == code && message.contains(words), "{at}: {what}: {} {message}, not {code} {words}", answer.code);
        }
    }
}
