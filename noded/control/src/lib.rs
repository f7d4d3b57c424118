//! The control plane: what is desired is kept here, and what is missing of it is done from here.
//!
//! ```text
//! kubectl, agents ──HTTPS──▶ server ──▶ objects ──▶ store (one file, or etcd)
//!                                          ▲            │ watch
//!                                          └── scheduler, controllers: next(desired, actual) ──▶ actions
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`store`] | objects by key, one revision counter, watches; a file that survives kill -9, or etcd for several hosts |
//! | [`objects`] | names, defaults, rules, owners of fields, deletion in steps |
//! | [`server`] | the API over HTTPS |
//! | [`tunnel`] | the connections of nodes: logs, exec, attach, port-forward |
//! | [`auth`] | who asks, and what they may do |
//! | [`join`] | how a host becomes a node: tokens, pins |
//! | [`certs`] | the authority and what it signs |
//! | [`scheduler`] | where pods run |
//! | [`controllers`] | what makes desired things so |
//! | [`events`] | what happened, told once |
//! | `leader`, `hosts` | several hosts over one etcd: who of them leads, and who lives |
//! | [`bootstrap`] | what every cluster has from its first start |
//!
//! A library: it neither prints nor exits; `noded control-plane` does.
#![forbid(unsafe_code)]

pub mod auth;
pub mod bootstrap;
pub mod certs;
pub mod controllers;
pub mod events;
mod hosts;
pub mod join;
mod leader;
pub mod objects;
mod random;
pub mod scheduler;
pub mod server;
#[cfg(test)]
mod stalled;
pub mod store;
pub mod tunnel;

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use auth::{TokenSigner, Tokens};
use certs::{Authority, NoCertificates};
use controllers::Times;
use objects::{Objects, Settings};
use server::Server;
use store::{EmbeddedStore, EtcdStore, NotOpened, Store};

/// How a control plane is run.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where everything is kept: store, keys, kubeconfig. Made where it is not there.
    pub folder: PathBuf,
    /// The etcd that has the objects; nothing: a file in the folder has.
    pub etcd: Option<store::Address>,
    /// Where the API listens.
    pub listen: SocketAddr,
    /// Names and addresses by which clients reach it, beside those of this host's loopback; the first one is in the kubeconfig.
    pub names: Vec<String>,
    /// Fixed bearer tokens: lines `TOKEN,NAME,UID,"GROUP,GROUP"`.
    pub tokens: String,
    /// Ranges of addresses and ports.
    pub settings: Settings,
    /// When a node counts as lost.
    pub times: Times,
    /// How long a node's certificate lasts.
    pub node_certificates: std::time::Duration,
}

/// Why a control plane does not start.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// The folder cannot be made.
    #[error("make {0}")]
    Folder(PathBuf, #[source] std::io::Error),
    /// The store cannot be opened.
    #[error("open the store")]
    Store(#[source] NotOpened),
    /// There are no certificates.
    #[error("certificates")]
    Certificates(#[source] NoCertificates),
    /// TLS does not take the keys.
    #[error("set up TLS: {0}")]
    Tls(String),
    /// The address is taken, or not of this host.
    #[error("listen on {0}")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// What every cluster has cannot be written.
    #[error("write the cluster's first objects: {0}")]
    Bootstrap(api::status::Status),
}

/// A control plane that runs.
pub struct ControlPlane {
    /// Where the API listens.
    pub address: SocketAddr,
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    /// The objects, for controllers in this process.
    pub objects: Objects,
    /// They end when this is dropped.
    tasks: JoinSet<()>,
    others: Option<Others>,
}

/// What other hosts of the same control plane know of this one.
struct Others {
    host: Option<hosts::Host>,
    election: Arc<leader::Election>,
}

impl ControlPlane {
    /// Ends, and tells the other hosts, so that one of them need not wait until it is missed.
    pub async fn end(mut self) {
        self.tasks.shutdown().await;
        if let Some(others) = &self.others {
            others.election.resign().await;
            if let Some(host) = &others.host {
                host.leave(&self.objects).await;
            }
        }
    }
}

/// Starts a control plane; it runs until the answer is dropped.
///
/// # Errors
/// What is in its way.
pub async fn serve(config: Config) -> Result<ControlPlane, NotStarted> {
    serve_with(config, server::peer::PATIENCE).await
}

/// The same with another patience for clients that do not read.
async fn serve_with(config: Config, patience: std::time::Duration) -> Result<ControlPlane, NotStarted> {
    let folder = &config.folder;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|e| NotStarted::Folder(folder.clone(), e))?;
    let store: Arc<dyn Store> = match &config.etcd {
        Some(address) => {
            let store = EtcdStore::open(address, folder).await.map_err(NotStarted::Store)?;
            certs::shared::settle(folder, &store).await.map_err(NotStarted::Certificates)?;
            Arc::new(store)
        }
        None => Arc::new(EmbeddedStore::open(folder).map_err(NotStarted::Store)?),
    };
    let authority = Arc::new(Authority::open(folder).map_err(NotStarted::Certificates)?);
    let settings = Settings { root: authority.pem().to_owned(), ..config.settings.clone() };
    let objects = Objects::new(store, settings);
    bootstrap::first_objects(&objects).await.map_err(NotStarted::Bootstrap)?;
    let listener = TcpListener::bind(config.listen).await.map_err(|e| NotStarted::Listen(config.listen, e))?;
    let address = listener.local_addr().map_err(|e| NotStarted::Listen(config.listen, e))?;
    let (advertised, id) = (advertised(&config), random::uid());
    if config.etcd.is_none() {
        bootstrap::reachable(&objects, advertised.as_slice(), address.port()).await.map_err(NotStarted::Bootstrap)?;
    }
    let signer = TokenSigner::new(&authority.token_key)
        .ok_or_else(|| NotStarted::Tls("the key that signs tokens is no P-256 key".into()))?;
    let shown = config.names.first().cloned().unwrap_or_else(|| "127.0.0.1".into());
    let kubeconfig = folder.join("admin.kubeconfig");
    let own = certs::own::Own {
        authority: authority.clone(),
        names: names(&config),
        kubeconfig: kubeconfig.clone(),
        address: format!("https://{shown}:{}", address.port()),
    };
    let (certificate, life) = own.shown().map_err(NotStarted::Certificates)?;
    let acceptor = server::tls(&authority, certificate.clone()).map_err(|e| NotStarted::Tls(e.to_string()))?;
    let pulse = tunnel::Pulse::default();
    let server = Server {
        objects: objects.clone(),
        tokens: Tokens::new(signer, &config.tokens),
        address: format!("{shown}:{}", address.port()),
        id: id.clone(),
        policy: Mutex::default(),
        nodes: tunnel::Nodes::new(pulse.clone()),
        patience,
        authority,
        node_certificates: config.node_certificates,
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(server::run(Arc::new(server), listener, acceptor));
    tasks.spawn(own.renew(certificate, life));
    tasks.spawn(store::forget_past(objects.shared_store()));
    let times = config.times.clone();
    let others = config.etcd.is_some().then(|| {
        let host = advertised.map(|ip| hosts::Host { address: ip, port: address.port(), id: id.clone() });
        if let Some(host) = &host {
            tasks.spawn(host.clone().present(objects.clone()));
        }
        let election = Arc::new(leader::Election::new(objects.clone(), format!("{shown}_{id}")));
        let runs = election.clone();
        let pulse = pulse.clone();
        tasks.spawn(async move { runs.run(|objects| lead(&objects, &times, &pulse, Some(address.port()))).await });
        Others { host, election }
    });
    if others.is_none() {
        let mut work = lead(&objects, &config.times, &pulse, None);
        tasks.spawn(async move { while work.join_next().await.is_some() {} });
    }
    Ok(ControlPlane { address, kubeconfig, objects, tasks, others })
}

/// What one host of a control plane does. With a port there are others, which the service `kubernetes` lists.
fn lead(objects: &Objects, times: &Times, pulse: &tunnel::Pulse, port: Option<u16>) -> JoinSet<()> {
    let mut work = JoinSet::new();
    work.spawn(controllers::run(objects.clone(), times.clone(), pulse.clone()));
    work.spawn(controllers::forget_events(objects.clone()));
    work.spawn(auth::aggregate::run(objects.clone()));
    work.spawn(scheduler::run(objects.clone()));
    if let Some(port) = port {
        work.spawn(hosts::list(objects.clone(), port));
    }
    work
}

/// The address at which pods reach the API: the first of its names that is one, and not this host's alone.
fn advertised(config: &Config) -> Option<std::net::Ipv4Addr> {
    let names = config.names.iter().filter_map(|name| name.parse::<std::net::Ipv4Addr>().ok());
    let own = match config.listen.ip() {
        std::net::IpAddr::V4(ip) => Some(ip),
        std::net::IpAddr::V6(_) => None,
    };
    // Whoever listens on the loopback interface cannot be reached by another address.
    if config.listen.ip().is_loopback() {
        return None;
    }
    names.chain(own).find(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

/// Every name that the server's certificate is good for.
fn names(config: &Config) -> Vec<String> {
    let (base, _) = config.settings.service_range;
    let service = std::net::Ipv4Addr::from(u32::from(base) + 1).to_string();
    let fixed = [
        "localhost",
        "127.0.0.1",
        "::1",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ];
    let mut all: Vec<String> = config.names.clone();
    all.extend(fixed.map(String::from));
    all.push(service);
    if !config.listen.ip().is_unspecified() {
        all.push(config.listen.ip().to_string());
    }
    all.sort();
    all.dedup();
    all
}
