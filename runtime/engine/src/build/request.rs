//! What a build is asked for: parsed, absolute, read. Nothing below sees what was typed.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use images::{Downloaded, Image, Platform, Reference, RemoteCache};
use sys::Call;

use super::dockerfile::Ignore;
use super::repository::{Checkout, Repository};
use super::unset::Unset;
use crate::error::During;
use crate::{Error, HostEntry, NetworkMode, Resources, Ulimit};

/// A build.
#[derive(Debug, Clone, Default)]
pub struct BuildRequest {
    /// The Dockerfile's text.
    pub dockerfile: String,
    /// The folder of the context; none: there is no context.
    pub context: Option<PathBuf>,
    /// Which of its files are not there.
    pub ignore: Ignore,
    /// Other contexts by name: folders and images that `--from` and `FROM` may name.
    pub contexts: BTreeMap<String, NamedContext>,
    /// `--build-arg`
    pub args: BTreeMap<String, String>,
    /// The stage that is built, by name or number; none: the last one.
    pub target: Option<String>,
    /// For which machines; none: this host.
    pub platform: Option<Platform>,
    /// Steps are shown with it.
    pub says_platform: bool,
    /// Labels on top of the Dockerfile's.
    pub labels: BTreeMap<String, String>,
    /// What it does not take over from the images below it.
    pub unset: Unset,
    /// Names of the image.
    pub names: Vec<Reference>,
    /// Which layers become one.
    pub squash: Squash,
    /// Nothing that was remembered is used.
    pub no_cache: bool,
    /// Nor is anything remembered: the layers of steps go with the build, unless they are in its image.
    pub forgetful: bool,
    /// Nothing that was remembered of these stages is used.
    pub no_cache_filter: Vec<String>,
    /// What other hosts remember, looked at after what this one does.
    pub caches: Vec<Arc<RemoteCache>>,
    /// The image's config gets the steps that made it, for others to find.
    pub inline_cache: bool,
    /// Files with secrets, by id.
    pub secrets: BTreeMap<String, Vec<u8>>,
    /// Sockets of agents, by id.
    pub agents: BTreeMap<String, PathBuf>,
    /// The network of `RUN` where it says none itself.
    pub network: NetworkMode,
    /// `RUN --security=insecure` and `--network=host` are allowed.
    pub entitlements: Vec<String>,
    /// Seconds since 1970: when everything is said to have been made, and no file is newer (`SOURCE_DATE_EPOCH`).
    pub epoch: Option<i64>,
    /// Whether the result becomes an image of the store; otherwise it is only built.
    pub image: bool,
    /// What `RUN` has, and may use.
    pub running: Running,
}

/// Which layers of the image become one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Squash {
    /// Each step's layer stays.
    #[default]
    Nothing,
    /// Those that the build has made, on top of the image that it began with.
    New,
    /// All of them.
    All,
}

/// What all `RUN` of a build have, and what they may use.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Running {
    /// Lines of `/etc/hosts`.
    pub hosts: Vec<HostEntry>,
    /// Limits of processes.
    pub ulimits: Vec<Ulimit>,
    /// Bytes of `/dev/shm`.
    pub shm_size: Option<u64>,
    /// Limits of the container.
    pub resources: Resources,
    /// The cgroup above its own.
    pub cgroup_parent: Option<String>,
}

/// What a name stands for beside the stages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedContext {
    /// A folder of this host.
    Folder(PathBuf),
    /// An image.
    Image(String),
}

/// Where images and files come from that a Dockerfile names.
pub trait Bases: Sync {
    /// The image, pulled if it must.
    ///
    /// # Errors
    /// There is none, or it cannot be pulled.
    fn image(&self, name: &str, platform: Option<&Platform>) -> Result<Image, Box<dyn std::error::Error + Send + Sync>>;

    /// A file from a web server.
    ///
    /// # Errors
    /// It cannot be fetched.
    fn fetch(&self, address: &str) -> Result<Downloaded, Box<dyn std::error::Error + Send + Sync>>;

    /// A repository's files; with `keep` its `.git`, too.
    ///
    /// # Errors
    /// It cannot be fetched, or has not what is asked for.
    fn checkout(&self, repository: &Repository, keep: bool) -> Result<Checkout, Box<dyn std::error::Error + Send + Sync>>;
}

/// Ends a build from another thread.
#[derive(Debug)]
pub struct Stop {
    stopped: AtomicBool,
    /// Readable once it is stopped.
    event: OwnedFd,
}

impl Stop {
    /// A build that goes on.
    ///
    /// # Errors
    /// There is no descriptor left.
    pub fn new() -> Result<Stop, Error> {
        let flags = rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK;
        let event = rustix::event::eventfd(0, flags).call(|| "eventfd()").during(|| "begin a build")?;
        Ok(Stop { stopped: AtomicBool::new(false), event })
    }

    /// Ends what runs, and begins nothing more.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    pub(super) fn event(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
