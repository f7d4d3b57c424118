//! The API over HTTPS: who, what, may they, then the store.
//!
//! ```text
//! connection ──▶ TLS: client certificate ──▶ request ──▶ target (path, verb) ──▶ user ──▶ policy ──▶ read · watch · write · parts · review
//! ```

mod alias;
mod answer;
mod body;
mod certificate;
mod documents;
mod metrics;
mod node;
mod parts;
pub(crate) mod peer;
mod pods;
mod proxy;
mod read;
mod review;
mod route;
mod scale;
mod shape;
mod standing;
mod target;
mod watch;
mod write;

use std::sync::{Arc, Mutex};

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::auth::policy::Policy;
use crate::auth::{Certified, Tokens, User};
use crate::certs::Authority;
use crate::certs::own::Shown;
use crate::objects::Objects;
use crate::tunnel::Nodes;
use peer::{Peer, Watching};

pub use answer::Body;
pub(crate) use parts::bound;
pub use target::Query;

/// Everything that a request needs.
pub struct Server {
    /// The objects.
    pub objects: Objects,
    /// Bearer tokens.
    pub tokens: Tokens,
    /// The address that clients are told.
    pub address: String,
    /// Of this process: nodes have one connection to each.
    pub id: String,
    /// The policy, and the revisions of the kinds that it was made from.
    pub(crate) policy: Mutex<([u64; 4], Arc<Policy>)>,
    /// The nodes that are connected.
    pub nodes: Nodes,
    /// How long a client with a watch may read nothing.
    pub patience: std::time::Duration,
    /// What signs certificates of nodes.
    pub authority: Arc<Authority>,
    /// How long they last.
    pub node_certificates: std::time::Duration,
}

/// How a server speaks TLS: its own certificate, and clients' certificates of the same authority.
///
/// # Errors
/// Keys that rustls does not take.
pub(crate) fn tls(authority: &Authority, own: Arc<Shown>) -> Result<TlsAcceptor, Box<dyn std::error::Error + Send + Sync>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone())?;
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).allow_unauthenticated().build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(own);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Takes connections until it is dropped.
pub(crate) async fn run(server: Arc<Server>, listener: TcpListener, acceptor: TlsAcceptor) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (server, acceptor) = (server.clone(), acceptor.clone());
                tokio::spawn(async move {
                    let _ = stream.set_nodelay(true);
                    // a client that does not finish its handshake holds a connection, no more than that, and not for long
                    let watching = Watching::default();
                    let stream = Peer::new(stream, watching.clone(), server.patience);
                    let shake = tokio::time::timeout(std::time::Duration::from_secs(10), acceptor.accept(stream));
                    if let Ok(Ok(stream)) = shake.await {
                        connection(server, stream, watching).await;
                    }
                });
            }
            // out of descriptors: the connections that there are go on
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
}

async fn connection(server: Arc<Server>, stream: tokio_rustls::server::TlsStream<Peer>, watching: Watching) {
    let certificate = stream.get_ref().1.peer_certificates().and_then(|c| c.first());
    let certificate = certificate.and_then(|c| Certified::read(c)).map(Arc::new);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(watching.clone());
        let known = certificate.as_ref().filter(|certified| standing::is_good(&server.objects, certified));
        known.map(|certified| request.extensions_mut().insert(certified.clone()));
        let known = known.map(|certified| certified.user.clone());
        let server = server.clone();
        async move { Ok::<Response<Body>, std::convert::Infallible>(route::answer(&server, known, request).await) }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(std::time::Duration::from_secs(30));
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(1000).keep_alive_interval(std::time::Duration::from_secs(30));
    // what a connection ended with is the client's business
    let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
}

impl Server {
    /// Who comes with this certificate or token; nothing for a token that is not known.
    pub(crate) fn user(&self, certificate: Option<User>, authorization: Option<&str>) -> Option<User> {
        if let Some(user) = certificate {
            return Some(user);
        }
        match authorization {
            None => Some(User::anonymous()),
            Some(header) => {
                let token = header.strip_prefix("Bearer ").or_else(|| header.strip_prefix("bearer "))?;
                self.tokens.user(token.trim(), &self.objects, jiff::Timestamp::now().as_second())
            }
        }
    }

    /// The policy as of now; made anew when a role or binding has changed.
    pub(crate) fn policy(&self) -> Arc<Policy> {
        use api::kinds::rbac::{CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING};
        let kinds = [&ROLE, &CLUSTER_ROLE, &ROLE_BINDING, &CLUSTER_ROLE_BINDING];
        let now = kinds.map(|k| self.objects.store().kind_revision(crate::objects::prefix(k, "").trim_end_matches('/')));
        let mut kept = self.policy.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if kept.0 != now {
            let o = &self.objects;
            *kept = (
                now,
                Arc::new(Policy::new(
                    o.all(&ROLE, ""),
                    o.all(&CLUSTER_ROLE, ""),
                    o.all(&ROLE_BINDING, ""),
                    o.all(&CLUSTER_ROLE_BINDING, ""),
                )),
            );
        }
        kept.1.clone()
    }
}
