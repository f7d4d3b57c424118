//! A registry of our own (distribution-spec 1.1): pull, push, lists, referrers, delete; and a read-through cache of another registry.
//!
//! ```text
//! TCP, TLS ─ connection ─> answer: who is it (accounts), what is it about (route) ─> manifests  blobs  uploads  lists ─> storage
//!                                                                                       └ not here: mirror ─> registry (the client)
//! ```
//!
//! | module | |
//! |---|---|
//! | `connection` | sockets: how many, how patient, and how they end |
//! | `answer`, `route` | one request: parsed whole before anything is done with it |
//! | `accounts` | who may come in |
//! | `manifests`, `blobs`, `uploads`, `lists` | the resources |
//! | `storage` | files and links: the only module that knows paths |
//! | `sink`, `incoming`, `reply`, `pieces`, `refusal` | bytes that come and go |
//! | `mirror` | fetches what is not here, once for all who ask, and forgets what nobody asks for |
//!
//! Memory is bounded by the connections: a manifest of 4 MiB at most, or two pieces of half a MiB each.

mod accounts;
mod answer;
mod blobs;
mod connection;
mod incoming;
mod lists;
mod manifests;
mod mirror;
mod pieces;
mod refusal;
mod reply;
mod route;
mod sink;
mod storage;
mod tls;
mod uploads;

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::TlsAcceptor;

use self::accounts::Accounts;
use self::mirror::Mirror;
pub use self::mirror::{Keep, Upstream};
use self::refusal::{Code, Refusal};
use self::route::UploadId;
#[cfg(any(test, fuzzing))]
pub(crate) use self::route::names_in;
use self::storage::Storage;
use self::uploads::Uploads;
use crate::error::{Error, Result};

/// Hears why a request failed for reasons that are ours: what was asked for, and the error. Clients are told nothing about the host.
pub type Notice = Arc<dyn Fn(&str, &Error) + Send + Sync>;

/// How to serve.
pub struct Options {
    /// Where to listen; port 0 is any free one.
    pub listen: SocketAddr,
    /// The folder of the registry.
    pub root: PathBuf,
    /// Whether pushes and deletions are refused.
    pub read_only: bool,
    /// Users and bcrypt hashes as `htpasswd -B` writes them; `None`: everybody may do everything.
    pub htpasswd: Option<PathBuf>,
    /// Certificate chain and private key, as PEM.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Another registry, whose images are served and kept. Nothing is pushed to such a registry; what is deleted is fetched again when
    /// somebody asks for it.
    pub mirror: Option<Upstream>,
    /// Whether blobs are removed at the start that no manifest names, and that have been left alone for this time.
    pub prune: Option<Duration>,
    /// How much is too much.
    pub limits: Limits,
    /// Hears about failures.
    pub notice: Notice,
}

/// What clients may use.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at once; further ones wait.
    pub connections: usize,
    /// Uploads that are open at once.
    pub uploads: usize,
    /// Bytes of a blob.
    pub blob: u64,
    /// How long nothing may come, or be taken, before a connection ends.
    pub idle: Duration,
    /// How long nothing may come from a mirror's upstream before it is asked again, three times in all.
    pub upstream: Duration,
    /// How long requests may go on after the registry was told to stop.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Limits { connections: 512, uploads: 512, blob: 64 << 30, idle: seconds(60), upstream: seconds(30), grace: seconds(10) }
    }
}

/// A registry that listens.
pub struct Server {
    address: SocketAddr,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
}

/// What all requests share.
struct Shared {
    storage: Arc<Storage>,
    uploads: Uploads,
    accounts: Option<Accounts>,
    mirror: Option<Arc<Mirror>>,
    read_only: bool,
    limits: Limits,
    notice: Notice,
}

impl Server {
    /// Opens the folder and listens. Connections wait until [`Server::run`].
    ///
    /// # Errors
    /// Another process serves the folder, somebody listens there, or a file is not what it should be.
    pub fn bind(options: Options) -> Result<Self> {
        let accounts = options.htpasswd.as_deref().map(Accounts::load).transpose()?;
        let tls = options.tls.as_ref().map(|(chain, key)| tls::acceptor(chain, key)).transpose()?;
        let storage = Arc::new(Storage::open(&options.root)?);
        options.prune.map_or(Ok(()), |age| storage.prune(age))?;
        let failed = |source| Error::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let mirror = options.mirror.map(|upstream| Arc::new(Mirror::new(upstream, storage.clone(), &options.limits)));
        let read_only = options.read_only;
        let (limits, notice) = (options.limits, options.notice);
        let shared = Shared { storage, uploads: Uploads::default(), accounts, mirror, read_only, limits, notice };
        Ok(Server { address, listener, tls, shared: Arc::new(shared) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` can be read, such as a signalfd or the end of a pipe. What is under way then may end, for a while.
    pub fn run(self, stop: OwnedFd) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(64).build();
        let runtime = runtime.map_err(Error::Runtime)?;
        if let Some(mirror) = &self.shared.mirror {
            runtime.spawn(mirror.clone().tidy(self.shared.notice.clone()));
        }
        let ended = runtime.block_on(connection::serve(self.listener, self.tls, self.shared, stop));
        runtime.shutdown_timeout(Duration::from_secs(1));
        ended.map_err(|source| Error::Listen { address: self.address, source })
    }
}

impl Shared {
    /// Does what blocks in a thread made for it.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Storage) -> Result<T> + Send + 'static,
    ) -> std::result::Result<T, Refusal> {
        blocking(&self.storage, work).await
    }

    /// What a failed write to a blob means.
    fn unwritten(&self, error: std::io::Error) -> Refusal {
        self.storage.unwritten(error).into()
    }
}

async fn blocking<T: Send + 'static>(
    storage: &Arc<Storage>,
    work: impl FnOnce(&Storage) -> Result<T> + Send + 'static,
) -> std::result::Result<T, Refusal> {
    let storage = storage.clone();
    let done = tokio::task::spawn_blocking(move || work(&storage)).await.map_err(|_| Refusal::from(Code::Internal))?;
    done.map_err(Refusal::from)
}

/// Nobody can guess it.
fn random_id() -> std::result::Result<UploadId, Refusal> {
    let mut random = [0; 16];
    rustls::crypto::ring::default_provider().secure_random.fill(&mut random).map_err(|_| Refusal::from(Code::Internal))?;
    Ok(UploadId::new(random))
}
