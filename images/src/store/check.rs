//! All images against what they promise.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use sys::Call;

use super::refs::Record;
use super::{Examined, Flaw, Store};
use crate::error::{Doing, Error, Result};
use crate::image::Layer;
use crate::{Digest, Reference};

/// An image that was looked at.
#[derive(Debug)]
pub struct Checked {
    /// Its names, or its manifest's digest if it has none. A name that cannot be read is alone.
    pub names: Vec<String>,
    /// Layers that it has.
    pub layers: usize,
    /// Layers of which no sums are known: only what is missing altogether would be found.
    pub unknown: Vec<Digest>,
    /// None: it is whole.
    pub faults: Vec<Fault>,
}

/// A part of an image that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// `layer sha256:…`, `manifest sha256:…`, …
    pub part: String,
    /// Its file, or its folder.
    pub place: PathBuf,
    /// What is wrong with it.
    pub flaws: Vec<Flaw>,
    /// What was done about it.
    pub remedy: Remedy,
}

/// What was done about a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing was to be done.
    None,
    /// The part is gone: the next pull of the image brings it back.
    Dropped,
    /// Running containers use it.
    InUse(Vec<String>),
}

/// Who uses a layer just now.
pub type Users<'a> = &'a dyn Fn(&Digest) -> Vec<String>;

impl Store {
    /// Looks at the images `names`, or at all of them: at manifests, configs and kept blobs by their digests, at layers by their sums. Each
    /// image is told of when it is done; a layer of several images is read once.
    ///
    /// With `repair` what is damaged is dropped, unless it is used: names of images stay, but for those that cannot be read.
    ///
    /// # Errors
    /// There is no image of a name that was asked for; something cannot be read, or removed.
    pub fn check(&self, names: &[String], repair: Option<Users<'_>>, each: &mut dyn FnMut(&Checked)) -> Result<()> {
        let mut check = Check { store: self, repair, seen: BTreeMap::new() };
        if names.is_empty() {
            return check.all(each);
        }
        for name in names {
            match self.resolve(name) {
                Ok((record, _)) => check.image(&record, vec![name.clone()], each)?,
                Err(Error::Damaged { what }) => each(&check.name(name, what, &self.name_file(name))?),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn name_file(&self, name: &str) -> std::path::PathBuf {
        name.parse::<Reference>().map_or_else(|_| self.refs().join(name), |name| self.ref_file(&name))
    }
}

struct Check<'a> {
    store: &'a Store,
    repair: Option<Users<'a>>,
    seen: BTreeMap<Digest, (Examined, Remedy)>,
}

impl Check<'_> {
    fn all(&mut self, each: &mut dyn FnMut(&Checked)) -> Result<()> {
        let mut images: BTreeMap<Digest, (Record, Vec<String>)> = BTreeMap::new();
        let records = self.store.records()?.into_iter().map(|file| (None, file));
        let names = self.store.names()?.into_iter().map(|(name, file)| (Some(name), file));
        for (name, file) in records.chain(names) {
            match self.store.read_record(&file) {
                Ok(Some(record)) => {
                    let image = images.entry(record.manifest.clone()).or_insert((record, Vec::new()));
                    image.1.extend(name.map(|name| name.familiar()));
                }
                Ok(None) => {}
                Err(Error::Damaged { what }) => {
                    let shown = name.map_or_else(|| file.display().to_string(), |name| name.familiar());
                    each(&self.name(&shown, what, &file)?);
                }
                Err(error) => return Err(error),
            }
        }
        let mut images: Vec<_> = images.into_values().collect();
        images.sort_by(|a, b| a.1.cmp(&b.1));
        images.into_iter().try_for_each(|(record, names)| self.image(&record, names, each))
    }

    /// A name, or record, that cannot be read stands for nothing.
    fn name(&self, name: &str, what: String, file: &std::path::Path) -> Result<Checked> {
        let mut remedy = Remedy::None;
        if self.repair.is_some() {
            let _lock = self.store.lock_publish()?;
            // It may have been replaced.
            if self.store.read_record(file).is_err() {
                self.store.remove_record(file)?;
            }
            remedy = Remedy::Dropped;
        }
        let flaws = vec![Flaw { path: String::new(), what: "content".into() }];
        let fault = Fault { part: what, place: file.to_owned(), flaws, remedy };
        Ok(Checked { names: vec![name.to_owned()], layers: 0, unknown: Vec::new(), faults: vec![fault] })
    }

    fn image(&mut self, record: &Record, mut names: Vec<String>, each: &mut dyn FnMut(&Checked)) -> Result<()> {
        let mut faults = Vec::new();
        let mut blobs = vec![("manifest", &record.manifest), ("config", &record.config)];
        if record.target != record.manifest {
            blobs.push(("index", &record.target));
        }
        for (what, digest) in blobs {
            faults.extend(self.blob(what, digest)?);
        }
        // What the config says about the layers, if it can be read.
        let promised = self.store.load(record, Vec::new()).map(|image| image.layers).unwrap_or_default();
        let mut unknown = Vec::new();
        for digest in &record.layers {
            let (examined, remedy) = self.layer(digest, promised.iter().find(|layer| layer.digest == *digest))?;
            if !examined.flaws.is_empty() {
                let (part, place) = (format!("layer {digest}"), self.store.layer(digest));
                faults.push(Fault { part, place, flaws: examined.flaws, remedy });
            } else if !examined.sums {
                unknown.push(digest.clone());
            }
        }
        // One that was removed meanwhile has no faults.
        if !faults.is_empty() && self.store.read_record(&self.store.record_file(&record.manifest)).ok().flatten().is_none() {
            return Ok(());
        }
        if names.is_empty() {
            names.push(record.manifest.to_string());
        }
        each(&Checked { names, layers: record.layers.len(), unknown, faults });
        Ok(())
    }

    fn blob(&self, what: &str, digest: &Digest) -> Result<Option<Fault>> {
        match self.store.read_blob(what, digest) {
            Ok(_) => return Ok(None),
            Err(Error::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
        let path = self.store.blob(digest);
        let flaw = if path.exists() { "content" } else { "missing" };
        let mut remedy = Remedy::None;
        if self.repair.is_some() {
            let _lock = self.store.lock_publish()?;
            if self.store.read_blob(what, digest).is_err() {
                match fs::remove_file(&path) {
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    removed => removed.call(|| format!("unlink({path:?})")).doing(|| format!("remove {what} {digest}"))?,
                }
            }
            remedy = Remedy::Dropped;
        }
        let flaws = vec![Flaw { path: String::new(), what: flaw.into() }];
        Ok(Some(Fault { part: format!("{what} {digest}"), place: path, flaws, remedy }))
    }

    fn layer(&mut self, digest: &Digest, promised: Option<&Layer>) -> Result<(Examined, Remedy)> {
        if let Some(seen) = self.seen.get(digest) {
            return Ok(seen.clone());
        }
        let mut examined = self.examine(digest, promised)?;
        let mut remedy = Remedy::None;
        if !examined.flaws.is_empty() {
            // Somebody may have been removing it, or bringing it back.
            let lock = self.store.lock_layer(digest)?;
            examined = self.examine(digest, promised)?;
            if let (Some(users), false) = (self.repair, examined.flaws.is_empty()) {
                let users = users(digest);
                if users.is_empty() {
                    self.store.drop_layer(digest, &lock)?;
                    remedy = Remedy::Dropped;
                } else {
                    remedy = Remedy::InUse(users);
                }
            }
        }
        self.seen.insert(digest.clone(), (examined.clone(), remedy.clone()));
        Ok((examined, remedy))
    }

    fn examine(&self, digest: &Digest, promised: Option<&Layer>) -> Result<Examined> {
        let mut examined = self.store.examine_layer(digest)?;
        let (layer, promised) = (self.store.read_layer(digest)?, promised.map(|layer| layer.diff_id.to_string()));
        if let (Some(layer), Some(promised)) = (layer, promised)
            && layer.diff_id != promised
        {
            examined.flaws.push(Flaw { path: "layer.json".into(), what: "diff id".into() });
        }
        Ok(examined)
    }
}
