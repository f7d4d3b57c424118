//! What is mounted in a container beside its root file system: folders of the host, volumes, memory, images.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use images::Digest;
use serde::{Deserialize, Serialize};

/// Something that shows in the container at a place of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute path in the container, without `.` and `..`, and not the root.
    pub target: PathBuf,
    /// What shows there.
    pub source: MountSource,
    /// Who may write.
    #[serde(default)]
    pub access: Access,
    /// How mounts below it are shared with the host; `None` is not at all.
    #[serde(default)]
    pub propagation: Option<Propagation>,
    /// Everything in it is given to the container's user before each start: the option `U` of Podman.
    #[serde(default)]
    pub chown: bool,
    /// Whose ids it shows as whose, as the option `idmap` of crun has it: empty for those of the container's user namespace.
    #[serde(default)]
    pub idmap: Option<String>,
    /// The options as they were typed, for display.
    #[serde(default)]
    pub mode: String,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MountSource {
    /// A file or folder of the host.
    Bind {
        /// Absolute path on the host.
        path: PathBuf,
        /// Make a missing one, as a folder.
        create: bool,
        /// With everything that is mounted below it.
        recursive: bool,
        /// Only this folder or file of it, relative: a missing one is made as a folder when the container starts. Those who can write in the whole
        /// do not lead it elsewhere.
        part: Option<PathBuf>,
    },
    /// A volume.
    Volume {
        /// Its name; a request leaves it empty for a volume of the container's own.
        name: String,
        /// It is the container's own, and goes with it if asked to.
        anonymous: bool,
        /// A new one gets what the image has at the target.
        copy: bool,
        /// Only this folder or file of it, relative.
        subpath: Option<PathBuf>,
        /// How to make a missing one.
        spec: VolumeSpec,
    },
    /// A file system in memory.
    Tmpfs {
        /// Mount options, such as `size=64m`.
        options: Vec<String>,
        /// It was asked for as `--tmpfs`, which `inspect` shows elsewhere.
        short: bool,
    },
    /// The files of an image, which cannot be written.
    Image {
        /// As the user wrote it.
        name: String,
        /// Only this folder or file of it, relative.
        subpath: Option<PathBuf>,
        /// Its manifest; a request has none.
        manifest: Option<Digest>,
        /// Its layers, lowest first, by the digest of the blob; a request has none, unless it means layers that are no image.
        layers: Vec<Digest>,
    },
}

/// A container whose mounts another one gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumesFrom {
    /// Its name or id.
    pub container: String,
    /// Nothing of it can be written.
    pub readonly: bool,
}

/// Who may write to a mount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Whoever its files allow.
    #[default]
    Write,
    /// Nobody, and what is mounted below it neither.
    Read,
    /// Nobody, but mounts below it are as they are on the host.
    ReadTop,
}

impl MountSource {
    /// The name of the volume, if it is one.
    pub(crate) fn volume(&self) -> Option<&str> {
        match self {
            MountSource::Volume { name, .. } => Some(name),
            _ => None,
        }
    }
}

impl Access {
    /// The mount itself can be written.
    pub fn writable(self) -> bool {
        self == Access::Write
    }
}

/// How a volume is made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSpec {
    /// Labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Options of the driver `local`: `type`, `device` and `o`, as mount(8) has them.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

/// How mounts below a mount are shared with where it comes from (mount_namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names of mount(8)")]
pub enum Propagation {
    Private,
    RPrivate,
    Slave,
    RSlave,
    Shared,
    RShared,
}

impl Propagation {
    const ALL: [(&str, Propagation); 6] = [
        ("private", Propagation::Private),
        ("rprivate", Propagation::RPrivate),
        ("slave", Propagation::Slave),
        ("rslave", Propagation::RSlave),
        ("shared", Propagation::Shared),
        ("rshared", Propagation::RShared),
    ];
}

impl fmt::Display for Propagation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Propagation::ALL.iter().filter(|(_, own)| own == self).try_for_each(|(name, _)| f.write_str(name))
    }
}

impl FromStr for Propagation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Propagation::ALL.map(|(name, _)| name).join(", ");
        let found = Propagation::ALL.iter().find(|(name, _)| *name == text);
        found.map(|(_, own)| *own).ok_or_else(|| format!("{text:?} is no propagation: there are {}", names()))
    }
}
