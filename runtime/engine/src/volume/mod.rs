//! Volumes: folders that outlive containers.
//!
//! ```text
//! volumes/NAME/      volume.json (written once) · _data/ (what containers see) · users/ID (an empty file for each container that has it)
//!                    .copy/ copied/ (an image's content on its way into _data)
//! volumes/.new-X     being made · volumes/.gone-X being removed: swept when their maker is gone
//! ```
//!
//! Nothing is counted and nothing is locked for long. A container takes a volume by making its file in `users`, and a volume is removed by
//! removing `users`, which the kernel refuses while there is a file in it: the two exclude each other. A file of a container that is
//! gone counts for nothing.

mod fill;
mod folder;
mod options;

use std::collections::BTreeMap;
use std::path::PathBuf;

use launch::Nanos;
use serde::{Deserialize, Serialize};

use crate::request::VolumeSpec;
use crate::{Engine, Error, create, names, size, state};

pub use folder::check_name;
pub(crate) use folder::{release, release_own, take, undo};
pub(crate) use options::{is_folder, tree};

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// What is known of it.
    pub record: VolumeRecord,
    /// Where its files are on the host.
    pub mountpoint: PathBuf,
    /// Ids of the containers that have it.
    pub users: Vec<String>,
}

/// `volume.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeRecord {
    /// When it was made.
    pub created: Nanos,
    /// It belongs to a container, which gave it no name.
    #[serde(default)]
    pub anonymous: bool,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Options of the driver.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

impl Engine {
    /// Makes a volume; without a name, one that gets a name of 64 digits. One that is there already is answered if it was made with the
    /// same options.
    ///
    /// # Errors
    /// [`Error::BadVolumeName`]; [`Error::Invalid`] for options that the driver `local` does not have, or that differ.
    pub fn volume_create(&self, name: Option<&str>, spec: &VolumeSpec) -> Result<Volume, Error> {
        let anonymous = name.is_none();
        let name = name.map_or_else(names::new_id, |name| Ok(name.to_owned()))?;
        check_name(&name)?;
        options::check(&spec.options)?;
        let record =
            VolumeRecord { created: monitor::now(), anonymous, labels: spec.labels.clone(), options: spec.options.clone() };
        folder::make(&self.config, &name, &record, None, |_| Ok(()))?;
        let volume = self.volume(&name)?;
        if volume.record.options != spec.options {
            let why = "there is one of this name with other options: remove it, or choose another name";
            return Err(Error::Invalid { what: format!("volume {name}"), why: why.to_owned() });
        }
        Ok(volume)
    }

    /// The volume `name`.
    ///
    /// # Errors
    /// [`Error::NoSuchVolume`].
    pub fn volume(&self, name: &str) -> Result<Volume, Error> {
        folder::load(&self.config, name)?.ok_or_else(|| Error::NoSuchVolume(name.to_owned()))
    }

    /// All volumes, by name.
    pub fn volumes(&self) -> Result<Vec<Volume>, Error> {
        let mut all = Vec::new();
        for name in folder::all(&self.config)? {
            match folder::load(&self.config, &name) {
                // Its files are there, and it can be removed.
                Err(Error::Damaged { .. }) => all.push(folder::known(&self.config, &name, VolumeRecord::default())?),
                // One that is removed meanwhile is none.
                other => all.extend(other?),
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// Removes a volume with its files, and answers how many bytes they took.
    ///
    /// # Errors
    /// [`Error::VolumeInUse`] names the containers that have it, running or not; [`Error::NoSuchVolume`].
    pub fn volume_remove(&self, name: &str) -> Result<u64, Error> {
        self.volume_sweep();
        if !folder::exists(&self.config, name) {
            return Err(Error::NoSuchVolume(name.to_owned()));
        }
        let volume = folder::known(&self.config, name, VolumeRecord::default())?;
        let bytes = size::of(&volume.mountpoint);
        if folder::remove(&self.config, name)? {
            return Ok(bytes);
        }
        let users = folder::known(&self.config, name, volume.record)?.users;
        let called = |id: &String| match state::load(&self.config, id) {
            Ok(Some(container)) => container.record.name,
            _ => id[..12.min(id.len())].to_owned(),
        };
        Err(Error::VolumeInUse { name: name.to_owned(), by: users.iter().map(called).collect::<Vec<_>>().join(", ") })
    }

    /// Shows a volume's files on the host, and answers where: for one that is a folder there is nothing to do.
    ///
    /// # Errors
    /// [`Error::NoSuchVolume`]; what it is mounted from is gone.
    pub fn volume_mount(&self, name: &str) -> Result<PathBuf, Error> {
        let volume = self.volume(name)?;
        options::show(&self.config, name, &volume.record).map(|()| volume.mountpoint)
    }

    /// Undoes [`Engine::volume_mount`], if it was done. Containers keep what they have of it.
    ///
    /// # Errors
    /// `EBUSY` when a process has something open there.
    pub fn volume_unmount(&self, name: &str) -> Result<(), Error> {
        options::hide(&self.config, name, &self.volume(name)?.record)
    }

    /// Removes what is left of volumes that were being made or removed by processes that were killed.
    pub fn volume_sweep(&self) {
        let _ = create::sweep(&self.config.volumes());
    }

    /// Bytes of the files of a volume.
    pub fn volume_size(&self, volume: &Volume) -> u64 {
        size::of(&volume.mountpoint)
    }
}
