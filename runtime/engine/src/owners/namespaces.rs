//! Namespaces that belong to users of their own.

use std::ffi::CString;
use std::os::fd::OwnedFd;

use launch::IdRange;
use rustix::process::{WaitOptions, waitpid};
use sys::spawn::Home;

use crate::config::Config;
use crate::error::During;
use crate::request::UserMap;
use crate::{Engine, Error, Record};

/// What was made for one.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) user: OwnedFd,
    pub(crate) ipc: OwnedFd,
    pub(crate) uts: OwnedFd,
    pub(crate) net: OwnedFd,
}

/// Makes them. The kernel does so for a process without threads only, and that is the program of monitors. They live as long as their
/// descriptors.
///
/// # Errors
/// The kernel takes no such ranges, or has no user namespaces.
pub(crate) fn make(config: &Config, users: &UserMap) -> Result<Own, Error> {
    let what = || "make namespaces with users of their own";
    let (server, client) = sys::socket::pair().during(what)?;
    let sealed = launch::seal(&config.monitor).during(what)?;
    let range = |range: &IdRange| format!("{}:{}:{}", range.inside, range.outside, range.size);
    let ranges = |ranges: &[IdRange]| ranges.iter().map(range).collect::<Vec<_>>().join(",");
    let args = ["rctr-monitor".to_owned(), "--users".to_owned(), ranges(&users.uids), ranges(&users.gids)];
    let args = args.map(|arg| CString::new(arg).unwrap_or_default());
    let pid = sys::spawn::spawn(sealed.program, &args, server, Home::default()).during(what)?;
    let received = sys::socket::receive_whole(&client, 4096);
    let _ = rustix::io::retry_on_intr(|| waitpid(Some(pid), WaitOptions::empty()));
    let (why, made) = received.during(what)?;
    match <[OwnedFd; 4]>::try_from(made) {
        Ok([user, ipc, uts, net]) => Ok(Own { user, ipc, uts, net }),
        Err(_) if why.is_empty() => {
            Err(Error::Invalid { what: what().to_owned(), why: "the helper ended without a word".to_owned() })
        }
        Err(_) => Err(Error::Invalid { what: what().to_owned(), why: String::from_utf8_lossy(&why).into_owned() }),
    }
}

/// The namespaces of one run of a container.
#[derive(Debug, Default)]
pub(crate) struct Of {
    /// Its users, if they are its own or its pod's.
    pub(crate) user: Option<OwnedFd>,
    /// A network that belongs to them, for one that is in no pod.
    pub(crate) net: Option<OwnedFd>,
}

impl Engine {
    /// What a container with this record is to run in.
    pub(crate) fn owners(&self, record: &Record) -> Result<Of, Error> {
        match (&record.namespaces.users, &record.pod) {
            (None, _) => Ok(Of::default()),
            (Some(_), Some(member)) => Ok(Of { user: Some(self.pinned(&member.pod, "user")?), net: None }),
            (Some(users), None) => make(&self.config, users).map(|own| Of { user: Some(own.user), net: Some(own.net) }),
        }
    }
}
