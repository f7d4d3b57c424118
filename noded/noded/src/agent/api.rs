//! A client of the API. Of several servers it asks one until that does not answer, then the next; watches of the one before end then, too.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use control::join::Pinned;
use control::tunnel::{PATH, PROTOCOL, SERVERS};
use reqwest::header::{CONNECTION, UPGRADE};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Upgraded};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;

use super::identity::Pair;
use super::kubeconfig::Kubeconfig;
use super::servers::Servers;

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a watch may be silent: there are bookmarks each minute.
const SILENCE: Duration = Duration::from_secs(150);

/// The longest object in a watch.
const OBJECT: usize = 8 << 20;

/// Why a call was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// The API says no.
    #[error("{message}")]
    Status { code: u16, message: String },
    /// It did not answer.
    #[error("reach the API: {0}")]
    Away(String),
}

impl Refused {
    /// There is no such object.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Refused::Status { code: 404, .. })
    }

    /// There is such an object, or a newer one.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, Refused::Status { code: 409, .. })
    }
}

/// The API, as this node reaches it.
#[derive(Debug, Clone)]
pub(crate) struct Api(Arc<Reached>);

#[derive(Debug)]
struct Reached {
    /// It is another one when the node has a new certificate.
    client: RwLock<Client>,
    roots: RootCertStore,
    servers: Servers,
    token: Option<String>,
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Api {
    /// As a kubeconfig says.
    pub(crate) fn of(config: Kubeconfig) -> Result<Api> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&config.authority) {
            roots.add(certificate.context("certificate-authority")?).context("certificate-authority")?;
        }
        ensure!(!roots.is_empty(), "the kubeconfig has no certificate-authority: whoever comes needs to know whom it trusts");
        let identity = (!config.certificate.is_empty()).then(|| -> Result<_> {
            let chain = CertificateDer::pem_slice_iter(&config.certificate).collect::<Result<Vec<_>, _>>();
            Ok((chain.context("client-certificate")?, PrivateKeyDer::from_pem_slice(&config.key).context("client-key")?))
        });
        let client = client(known(&roots, identity.transpose()?)?)?;
        Ok(Api::new(&config.server, client, roots, config.token))
    }

    /// As a node with a certificate of its own.
    pub(super) fn joined(servers: &str, roots: RootCertStore, pair: &Pair) -> Result<Api> {
        let client = client(known(&roots, Some(identity(pair)?))?)?;
        Ok(Api::new(servers, client, roots, None))
    }

    /// As a host that is nobody yet.
    pub(super) fn pinned(server: &str, verifier: Arc<Pinned>, token: &str) -> Result<Api> {
        let tls = builder()?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        Ok(Api::new(server, client(tls)?, RootCertStore::empty(), Some(token.to_owned())))
    }

    fn new(servers: &str, client: Client, roots: RootCertStore, token: Option<String>) -> Api {
        Api(Arc::new(Reached { client: RwLock::new(client), roots, servers: Servers::new(servers), token }))
    }

    /// The servers.
    pub(super) fn servers(&self) -> &Servers {
        &self.0.servers
    }

    /// Comes with this certificate from now on. Connections that there are stay what they are.
    pub(super) fn become_one(&self, pair: &Pair) -> Result<()> {
        let new = client(known(&self.0.roots, Some(identity(pair)?))?)?;
        *self.0.client.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    fn client(&self) -> Client {
        self.0.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn request(&self, server: &str, method: Method, path: &str) -> RequestBuilder {
        let request = self.client().request(method, format!("{server}{path}"));
        match &self.0.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// The address.
    pub(super) fn address(&self) -> String {
        self.0.servers.current()
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, Refused> {
        self.call(Method::GET, path, None).await
    }

    pub(crate) async fn create(&self, path: &str, object: &Value) -> Result<Value, Refused> {
        self.call(Method::POST, path, Some(object)).await
    }

    pub(super) async fn put(&self, path: &str, object: &Value) -> Result<Value, Refused> {
        self.call(Method::PUT, path, Some(object)).await
    }

    /// Lays a merge patch over an object.
    pub(super) async fn patch(&self, path: &str, patch: &Value) -> Result<Value, Refused> {
        self.call(Method::PATCH, path, Some(patch)).await
    }

    pub(crate) async fn delete(&self, path: &str, options: &Value) -> Result<Value, Refused> {
        self.call(Method::DELETE, path, Some(options)).await
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Refused> {
        let work = async {
            let response = self.send(method, path, body).await?;
            let status = response.status();
            let bytes = response.bytes().await.map_err(|error| away(&error))?;
            let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            match status.is_success() {
                true => Ok(value),
                false => Err(refused(status.as_u16(), &value)),
            }
        };
        tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(late()))
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Response, Refused> {
        let media = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let server = self.0.servers.current();
        let mut request = self.request(&server, method, path);
        if let Some(body) = body {
            request = request.header("content-type", media).body(body.to_string());
        }
        request.send().await.map_err(|error| self.lost(&server, &error))
    }

    /// That a server does not answer. The next one is asked from now on.
    fn lost(&self, server: &str, error: &reqwest::Error) -> Refused {
        self.0.servers.leave(server);
        away(error)
    }

    /// Sends text, and answers text.
    pub(super) async fn text(&self, path: &str, body: String) -> Result<String, Refused> {
        let server = self.0.servers.current();
        let sent = self.request(&server, Method::POST, path).body(body).send();
        let response = tokio::time::timeout(PATIENCE, sent).await.map_err(|_| late())?;
        let response = response.map_err(|error| self.lost(&server, &error))?;
        let status = response.status();
        let text = response.text().await.map_err(|error| away(&error))?;
        match status.is_success() {
            true => Ok(text),
            false => Err(refused(status.as_u16(), &serde_json::from_str(&text).unwrap_or_default())),
        }
    }

    /// A connection of its own to one server, unless that is among the `known`, and the server's id.
    pub(super) async fn connect(&self, server: &str, known: &str) -> Result<(Upgraded, String), Refused> {
        let request = self.request(server, Method::GET, PATH).header(CONNECTION, "Upgrade").header(UPGRADE, PROTOCOL);
        let sent = request.header(SERVERS, known).send();
        let response = tokio::time::timeout(PATIENCE, sent).await.map_err(|_| late())?.map_err(|error| away(&error))?;
        let status = response.status();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            let bytes = response.bytes().await.map_err(|error| away(&error))?;
            return Err(refused(status.as_u16(), &serde_json::from_slice(&bytes).unwrap_or_default()));
        }
        let id = response.headers().get(SERVERS).and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
        Ok((response.upgrade().await.map_err(|error| away(&error))?, id))
    }

    /// Begins a watch.
    pub(super) async fn watch(&self, path: &str) -> Result<Watch, Refused> {
        let moves = self.0.servers.moves();
        let response = self.send(Method::GET, path, None).await?;
        let status = response.status();
        if !status.is_success() {
            let bytes = response.bytes().await.map_err(|error| away(&error))?;
            return Err(refused(status.as_u16(), &serde_json::from_slice(&bytes).unwrap_or_default()));
        }
        Ok(Watch { response, buffer: Vec::new(), moves })
    }
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().context("set up TLS")
}

/// TLS with a server that these authorities vouch for.
fn known(roots: &RootCertStore, identity: Option<Identity>) -> Result<ClientConfig> {
    let builder = builder()?.with_root_certificates(roots.clone());
    match identity {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).context("set up TLS"),
        None => Ok(builder.with_no_client_auth()),
    }
}

fn identity(pair: &Pair) -> Result<Identity> {
    let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes()).collect::<Result<Vec<_>, _>>();
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).context("the node's key")?;
    Ok((chain.context("the node's certificate")?, key))
}

fn client(tls: ClientConfig) -> Result<Client> {
    Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(10))
        .read_timeout(SILENCE)
        .user_agent(concat!("noded/", env!("CARGO_PKG_VERSION")))
        .build()
        .context("set up the client")
}

fn refused(code: u16, status: &Value) -> Refused {
    let message = status["message"].as_str().unwrap_or("no reason is given");
    Refused::Status { code, message: message.to_owned() }
}

fn late() -> Refused {
    Refused::Away(format!("no answer within {} s", PATIENCE.as_secs()))
}

fn away(error: &reqwest::Error) -> Refused {
    // The first link names the address, which everybody knows; the last one says what went wrong.
    let last = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source()).last();
    Refused::Away(last.map_or_else(String::new, ToString::to_string))
}

/// What happens to objects.
#[derive(Debug)]
pub(super) struct Watch {
    response: Response,
    buffer: Vec<u8>,
    moves: tokio::sync::watch::Receiver<u64>,
}

impl Watch {
    /// The next event; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Value>, Refused> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return serde_json::from_slice(&line).map(Some).map_err(|error| Refused::Away(error.to_string()));
            }
            if self.buffer.len() > OBJECT {
                return Err(Refused::Away("an object in a watch is too long".to_owned()));
            }
            let chunk = tokio::select! {
                chunk = self.response.chunk() => chunk.map_err(|error| away(&error))?,
                Ok(()) = self.moves.changed() => return Err(Refused::Away("the server does not answer: another is asked".to_owned())),
            };
            match chunk {
                Some(piece) => self.buffer.extend_from_slice(&piece),
                None => return Ok(None),
            }
        }
    }
}
