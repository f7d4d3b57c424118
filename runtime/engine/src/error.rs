//! What can go wrong on this host with one container.

use std::path::PathBuf;

/// A verb that could not be done. The text says what and to which container; the cause follows as the source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No container has this name, id or beginning of an id.
    #[error("no such container: {0}")]
    NoSuchContainer(String),
    /// Several ids begin like this.
    #[error("{prefix:?} is the beginning of {count} container ids: give more of it")]
    Ambiguous {
        /// What was given.
        prefix: String,
        /// How many match.
        count: usize,
    },
    /// Another container has the name.
    #[error("the name {name:?} is in use by container {id}: remove or rename that container, or choose another name")]
    NameInUse {
        /// The name.
        name: String,
        /// Who has it.
        id: String,
    },
    /// No pod has this id or beginning of an id.
    #[error("no such pod: {0}")]
    NoSuchPod(String),
    /// Several ids of pods begin like this.
    #[error("{prefix:?} is the beginning of {count} pod ids: give more of it")]
    AmbiguousPod {
        /// What was given.
        prefix: String,
        /// How many match.
        count: usize,
    },
    /// Another pod has this identity: name, namespace, uid and attempt.
    #[error("pod {name} exists already as {id}")]
    PodExists {
        /// The pod's name.
        name: String,
        /// The whole id of the one that is there.
        id: String,
    },
    /// The verb needs a pod whose namespaces are there.
    #[error("pod {0} is not ready: it was stopped, or the host was restarted")]
    PodNotReady(String),
    /// No network has this name, id or beginning of an id.
    #[error("no such network: {0}")]
    NoSuchNetwork(String),
    /// Several ids of networks begin like this.
    #[error("{prefix:?} is the beginning of {count} network ids: give more of it")]
    AmbiguousNetwork {
        /// What was given.
        prefix: String,
        /// How many match.
        count: usize,
    },
    /// A network has the name.
    #[error("network {0} exists already")]
    NetworkExists(String),
    /// Containers run in it.
    #[error("network {name} is in use by {by}: stop or disconnect them first")]
    NetworkInUse {
        /// The network.
        name: String,
        /// The containers' names.
        by: String,
    },
    /// A name outside `[a-zA-Z0-9][a-zA-Z0-9_.-]*`.
    #[error("invalid container name {0:?}: use letters, digits, '_', '.' and '-', and begin with a letter or digit")]
    BadName(String),
    /// No volume has this name.
    #[error("no such volume: {0}")]
    NoSuchVolume(String),
    /// No secret has this name or id.
    #[error("no such secret: {0}")]
    NoSuchSecret(String),
    /// Containers have the volume.
    #[error("the volume {name} is in use by {by}: remove what uses it first")]
    VolumeInUse {
        /// The volume.
        name: String,
        /// The containers' names.
        by: String,
    },
    /// A volume's name outside `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
    #[error(
        "invalid volume name {0:?}: use 2 to 255 letters, digits, '_', '.' and '-', and begin with a letter or digit; a folder of the \
         host is given by its absolute path"
    )]
    BadVolumeName(String),
    /// The word is no signal.
    #[error("invalid signal {text:?}: give a number from 1 to 64 or a name such as SIGTERM")]
    BadSignal {
        /// What was given.
        text: String,
    },
    /// Neither the image nor the request says what to run.
    #[error("image {image} names no command: give one after the image")]
    NoCommand {
        /// The image.
        image: String,
    },
    /// The verb needs a running container.
    #[error("container {0} is not running")]
    NotRunning(String),
    /// The verb needs a container whose processes run.
    #[error("container {0} is paused: unpause it first")]
    Paused(String),
    /// The verb needs one that is paused.
    #[error("container {0} is not paused")]
    NotPaused(String),
    /// Nobody wants the container to be started again any more.
    #[error("container {0} is not to be started again")]
    NotWanted(String),
    /// The verb needs a container that has ended.
    #[error("container {0} is running: stop it first, or use force")]
    Running(String),
    /// The user is not in the image's passwd, or the group not in its group file.
    #[error("user {user:?}: {why}")]
    User {
        /// As asked for.
        user: String,
        /// What is wrong with it.
        why: String,
    },
    /// A value that cannot be used.
    #[error("{what}: {why}")]
    Invalid {
        /// Which value.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// The program could not be executed, or the container not be made.
    #[error("{message}")]
    Start {
        /// Whose fault it is.
        kind: launch::Kind,
        /// The monitor's words.
        message: String,
    },
    /// A process has not ended in time, and was killed.
    #[error("{command}: not ended after {after:?}, and killed")]
    DeadlineExceeded {
        /// Program and arguments.
        command: String,
        /// How long it was waited for.
        after: std::time::Duration,
    },
    /// The monitor went away without a word.
    #[error("the monitor of container {0} ended unexpectedly")]
    MonitorGone(String),
    /// A record on disk that cannot be read.
    #[error("{path}: damaged record")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A message that does not decode or encode.
    #[error("monitor protocol")]
    Protocol(#[source] postcard::Error),
    /// Images.
    #[error(transparent)]
    Image(Box<images::Error>),
    /// The network.
    #[error("network")]
    Network(#[source] net::Error),
    /// criu did not do what it was asked.
    #[error("checkpoint")]
    Criu(#[source] container::criu::Error),
    /// A plugin of the network, or the configuration that names it.
    #[error("{what}: {why}")]
    Cni {
        /// Which one, and what it was to do.
        what: String,
        /// What is wrong.
        why: String,
    },
    /// The container's configuration.
    #[error("configuration")]
    Container(#[source] container::Error),
    /// Its cgroup.
    #[error("cgroup")]
    Cgroup(#[source] container::cgroup::Error),
    /// A system call.
    #[error("{what}")]
    System {
        /// What was being done, to what.
        what: String,
        /// The call.
        #[source]
        source: sys::Error,
    },
}

impl From<images::Error> for Error {
    fn from(error: images::Error) -> Error {
        // The largest of all by far.
        Error::Image(Box::new(error))
    }
}

/// Says what a system call was for.
pub(crate) trait During<T> {
    /// `open(…).during(|| "read the log of app")`.
    fn during<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T, Error>;
}

impl<T> During<T> for sys::Result<T> {
    fn during<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T, Error> {
        self.map_err(|source| Error::System { what: what().into(), source })
    }
}
