//! Why a registry did not give what it was asked for, in one line: what, where, which status, and what to do.

use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use super::registries::Invalid;
use crate::{Digest, InvalidManifest};

/// A failed request to a registry, or a file about registries that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The registry did not give what it was asked for.
    #[error("{what} from {host}")]
    Failed {
        /// Such as `manifest smlinux/nodeinfo:v1`.
        what: String,
        /// With the port, if it is not the usual one.
        host: String,
        /// Why.
        source: Failure,
    },
    /// The registry did not take what it was given, or did not let somebody in.
    #[error("{what} to {host}")]
    To {
        /// Such as `push manifest v1 of smlinux/nodeinfo`.
        what: String,
        /// With the port, if it is not the usual one.
        host: String,
        /// Why.
        source: Failure,
    },
    /// Neither a mirror nor the registry itself gave it. All reasons are in the text.
    #[error("{what}: {}", joined(.tried))]
    Endpoints {
        /// Such as `manifest smlinux/nodeinfo:v1`.
        what: String,
        /// Host and reason of each endpoint, in the order of asking.
        tried: Vec<(String, Failure)>,
    },
    /// The configuration forbids this registry.
    #[error("registry {prefix} is blocked in {}", file.display())]
    Blocked {
        /// As the configuration has it.
        prefix: String,
        /// Which says so.
        file: PathBuf,
    },
    /// A file cannot be read.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The failed call.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The failed call.
        source: std::io::Error,
    },
    /// The async runtime cannot be set up.
    #[error("network runtime")]
    Runtime(#[source] std::io::Error),
    /// It is not the name of a registry.
    #[error("registry {server:?}: {problem}")]
    Server {
        /// As it was given.
        server: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A file with a certificate cannot be used.
    #[error("{}: {problem}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: &'static str,
    },
    /// A file with registries is not what it should be.
    #[error("{}", path.display())]
    Registries {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Invalid,
    },
    /// A file with credentials is not what it should be.
    #[error("credentials in {}: {problem}", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// What is wrong; never a secret.
        problem: String,
    },
}

/// Which way the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    From,
    To,
}

impl Way {
    /// The word before the host.
    pub(super) fn word(self) -> &'static str {
        match self {
            Way::From => "from",
            Way::To => "to",
        }
    }
}

impl Error {
    /// Why the last endpoint that was asked failed: callers branch on it.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Error::Failed { source, .. } | Error::To { source, .. } => Some(source),
            Error::Endpoints { tried, .. } => tried.last().map(|(_, failure)| failure),
            _ => None,
        }
    }

    /// The error about all endpoints that were asked.
    pub(super) fn of(what: String, way: Way, mut tried: Vec<(String, Failure)>) -> Self {
        match (tried.pop(), way) {
            (Some((host, source)), Way::From) if tried.is_empty() => Error::Failed { what, host, source },
            (Some((host, source)), Way::To) if tried.is_empty() => Error::To { what, host, source },
            (last, _) => {
                tried.extend(last);
                Error::Endpoints { what, tried }
            }
        }
    }
}

impl Error {
    /// Whether the registry answered that there is no such thing.
    pub(crate) fn is_unknown(&self) -> bool {
        match self {
            Error::Failed { source, .. } | Error::To { source, .. } => matches!(source, Failure::Unknown { .. }),
            Error::Endpoints { tried, .. } => matches!(tried.last(), Some((_, Failure::Unknown { .. }))),
            _ => false,
        }
    }
}

fn joined(tried: &[(String, Failure)]) -> String {
    let mut text = String::new();
    for (host, failure) in tried {
        let _ = write!(text, "{}{host}: {}", if text.is_empty() { "" } else { "; " }, chain(failure));
    }
    text
}

/// An error with its causes, as the command line prints it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let _ = write!(text, ": {source}");
        next = source.source();
    }
    text
}

/// Why one endpoint failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// There is no such repository, tag, manifest or blob.
    #[error("{status}: {missing}")]
    Unknown {
        /// 404, mostly.
        status: u16,
        /// What is not there, and what to do.
        missing: String,
    },
    /// Somebody has to log in.
    #[error("{status}: log in, or check the name: the repository is private or does not exist")]
    Login {
        /// 401 or 403.
        status: u16,
    },
    /// Whoever logged in is not let in.
    #[error("{status}: user {user:?} is not let in: log in again, or ask for access")]
    Denied {
        /// 401 or 403.
        status: u16,
        /// Who asked.
        user: String,
    },
    /// The password or token is wrong.
    #[error("{status}: wrong password for user {user:?}: log in again")]
    WrongPassword {
        /// 401 or 403.
        status: u16,
        /// Who asked.
        user: String,
    },
    /// Too many requests were made.
    #[error("429: rate limit reached{}: {}", allowed(limit.as_deref(), counted.as_deref()), again(*after))]
    RateLimited {
        /// So many requests are allowed in so much time, if the registry says so.
        limit: Option<Box<(u64, Duration)>>,
        /// Whose requests it counts, if the registry says so: an address, or a user.
        counted: Option<Box<str>>,
        /// What the registry asks to wait, if it says so.
        after: Option<Duration>,
    },
    /// Another status than those above.
    #[error("{}", said(*status, message))]
    Status {
        /// As HTTP has it.
        status: u16,
        /// What the registry says about it; empty if nothing.
        message: String,
        /// What it asks to wait, if it says so.
        after: Option<Duration>,
    },
    /// The host's name has no address.
    #[error("no such host: check the name of the registry, and the network")]
    NoSuchHost,
    /// The host's name cannot be looked up.
    #[error("the host's address cannot be looked up ({0}): check the network and /etc/resolv.conf")]
    Lookup(String),
    /// Nothing listens there.
    #[error("connection refused: is the registry running there?")]
    Refused,
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// Neither side can trust the other.
    #[error("TLS: {0}")]
    Tls(String),
    /// Nothing came for too long.
    #[error("no answer for {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// The connection broke.
    #[error("connection lost: {0}")]
    Lost(String),
    /// The registry has less than the manifest says.
    #[error("truncated: {found} of {expected} bytes")]
    Truncated {
        /// Bytes.
        expected: u64,
        /// Bytes.
        found: u64,
    },
    /// The registry has more than it may have.
    #[error("larger than {limit} bytes")]
    TooLarge {
        /// Bytes.
        limit: u64,
    },
    /// The bytes do not match their digest.
    #[error("digest mismatch: expected {expected}, found {found}")]
    DigestMismatch {
        /// As asked for, or as the registry says.
        expected: Digest,
        /// Of the bytes.
        found: Digest,
    },
    /// It is no manifest.
    #[error("invalid manifest")]
    Manifest(#[from] InvalidManifest),
    /// The answer is not what HTTP or the protocol asks for.
    #[error("unexpected answer: {0}")]
    Protocol(String),
    /// The registry sends us somewhere we do not follow.
    #[error("redirected to {0}, which is not followed")]
    Redirect(String),
    /// The service that gives out tokens failed.
    #[error("token from {host}")]
    Token {
        /// The service's host.
        host: String,
        /// Why.
        source: Box<Failure>,
    },
    /// A program that keeps credentials failed.
    #[error("credential helper {program}: {problem}")]
    Helper {
        /// Its name.
        program: String,
        /// What it says.
        problem: String,
        /// There is no such program.
        missing: bool,
    },
}

impl Failure {
    /// The HTTP status behind it.
    pub fn status(&self) -> Option<u16> {
        match self {
            Failure::Unknown { status, .. } | Failure::Login { status } | Failure::Denied { status, .. } => Some(*status),
            Failure::WrongPassword { status, .. } | Failure::Status { status, .. } => Some(*status),
            Failure::RateLimited { .. } => Some(429),
            Failure::Token { source, .. } => source.status(),
            _ => None,
        }
    }

    /// Whether the registry could not be asked, or had no answer: what it has is not known.
    pub fn is_away(&self) -> bool {
        match self {
            Failure::Status { status, .. } => *status >= 500,
            Failure::Token { source, .. } => source.is_away(),
            failure => failure.is_of_endpoint() || matches!(failure, Failure::Lost(_)),
        }
    }

    /// Whether the same request may succeed a moment later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Failure::Status { status, .. } => matches!(status, 408 | 425 | 500 | 502 | 503 | 504),
            Failure::Token { source, .. } => source.is_transient(),
            Failure::RateLimited { .. } | Failure::Lookup(_) | Failure::Timeout(_) | Failure::Lost(_) => true,
            _ => false,
        }
    }

    /// Whether the endpoint as a whole does not work, not only for this request.
    pub(super) fn is_of_endpoint(&self) -> bool {
        use Failure::{Connect, Lookup, NoSuchHost, Refused, Timeout, Tls};
        matches!(self, NoSuchHost | Lookup(_) | Refused | Connect(_) | Tls(_) | Timeout(_))
    }

    /// How long the registry asks to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Failure::RateLimited { after, .. } | Failure::Status { after, .. } => *after,
            Failure::Token { source, .. } => source.retry_after(),
            _ => None,
        }
    }
}

fn said(status: u16, message: &str) -> String {
    let reason = reqwest::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let name = reason.map_or_else(|| status.to_string(), |reason| format!("{status} {reason}"));
    if message.is_empty() { name } else { format!("{name}: {message}") }
}

fn allowed(limit: Option<&(u64, Duration)>, counted: Option<&str>) -> String {
    let limit = limit.map(|(most, window)| format!("{most} pulls in {}", Seconds(*window)));
    let counted = counted.map(|counted| format!("counted for {counted}"));
    let said: Vec<_> = limit.into_iter().chain(counted).collect();
    if said.is_empty() { String::new() } else { format!(" ({})", said.join(", ")) }
}

fn again(after: Option<Duration>) -> String {
    match after {
        Some(after) => format!("try again in {}", Seconds(after)),
        None => "log in for a higher limit, or try again later".to_owned(),
    }
}

/// A time to wait, as people say it.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            seconds @ 0..=119 => write!(f, "{seconds} s"),
            seconds @ 120..=7199 => write!(f, "{} min", seconds.div_ceil(60)),
            seconds => write!(f, "{} h", seconds.div_ceil(3600)),
        }
    }
}
