//! Removing names and images.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::Store;
use super::refs::Record;
use crate::error::{Error, Result};
use crate::image::{Image, Layer};
use crate::{Digest, ImageConfig, Reference};

/// What a removal did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Names, as people write them.
    pub untagged: Vec<String>,
    /// The image's id if it is gone, and the layers that went.
    pub deleted: Vec<Digest>,
}

impl Store {
    /// Removes a name, and the image with its layers when that was the last one. By id, all names go; with `force` even if
    /// they are in several repositories.
    ///
    /// `in_use` answers the ids of containers that need the image. Their image stays: without `force` it is
    /// an error to remove its last name; with it the names go and the image remains without one. Layers that another image or
    /// a running pull needs stay as well.
    pub fn remove(&self, name: &str, force: bool, in_use: &dyn Fn(&Image) -> Vec<String>) -> Result<Removed> {
        let mut removed = Removed::default();
        {
            let _lock = self.lock_publish()?;
            let goal = self.goal(name)?;
            let all = goal.by_id || goal.leaving == goal.names.len();
            if goal.by_id && !force && repositories(&goal.names) > 1 {
                let names = goal.names.iter().map(|(name, _)| name.familiar()).collect();
                return Err(Error::SeveralNames { id: goal.short(), names });
            }
            let users = if all { self.users(&goal, in_use)? } else { Vec::new() };
            if !users.is_empty() && (!force || goal.names.is_empty()) {
                let forceable = !goal.names.is_empty();
                return Err(Error::InUse { name: name.to_owned(), by: users, forceable });
            }
            let leaving = if goal.by_id { goal.names.len() } else { goal.leaving };
            for (name, file) in &goal.names[..leaving] {
                self.remove_record(file)?;
                removed.untagged.push(name.familiar());
            }
            if all && users.is_empty() {
                if let Some(record) = &goal.record {
                    self.remove_record(&self.record_file(&record.manifest))?;
                    removed.deleted.push(record.config.clone());
                    removed.deleted.extend(self.remove_others(record, in_use)?);
                }
                self.sweep_blobs()?;
            }
        }
        if !removed.deleted.is_empty() {
            removed.deleted.extend(self.sweep_layers()?);
        }
        Ok(removed)
    }

    /// Removes the other images of an index whose last name has gone, unless somebody needs them. Answers their ids.
    fn remove_others(&self, gone: &Record, in_use: &dyn Fn(&Image) -> Vec<String>) -> Result<Vec<Digest>> {
        let entries = self.entries(&gone.target, &gone.manifest)?;
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let mut kept = self.indexed()?;
        for (_, file) in self.names()? {
            kept.extend(self.read_record(&file).ok().flatten().map(|record| record.manifest));
        }
        let mut removed = Vec::new();
        for entry in entries.iter().filter(|entry| !kept.contains(&entry.digest)) {
            let Ok(Some(record)) = self.read_record(&self.record_file(&entry.digest)) else { continue };
            let goal = Goal { record: Some(record), names: Vec::new(), leaving: 0, by_id: true };
            let (true, Some(record)) = (self.users(&goal, in_use)?.is_empty(), &goal.record) else { continue };
            self.remove_record(&self.record_file(&record.manifest))?;
            removed.push(record.config.clone());
        }
        Ok(removed)
    }

    /// Finds out what is to go; a name whose record is damaged can go too.
    fn goal(&self, name: &str) -> Result<Goal> {
        let reference = name.parse::<Reference>().ok();
        let (record, found) = match self.resolve(name) {
            Ok((record, found)) => (record, found),
            Err(error @ Error::Damaged { .. }) => {
                let Some(reference) = reference else { return Err(error) };
                let file = self.ref_file(&reference);
                return Ok(Goal { record: None, names: vec![(reference, file)], leaving: 1, by_id: false });
            }
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for (name, file) in self.names()? {
            if self.read_record(&file).ok().flatten().is_some_and(|other| other.manifest == record.manifest) {
                names.push((name, file));
            }
        }
        // The names that go come first.
        let leaving = match &found {
            Some(found) => {
                names.sort_by_key(|(name, _)| name != found);
                1
            }
            None => names.len(),
        };
        Ok(Goal { record: Some(record), names, leaving, by_id: found.is_none() })
    }

    fn users(&self, goal: &Goal, in_use: &dyn Fn(&Image) -> Vec<String>) -> Result<Vec<String>> {
        let Some(record) = &goal.record else { return Ok(Vec::new()) };
        if self.leased()?.contains(&record.manifest.to_string()) {
            return Ok(vec!["a command that is just starting".to_owned()]);
        }
        let names: Vec<_> = goal.names.iter().map(|(name, _)| name.clone()).collect();
        // Containers may need the layers of an image whose blobs are damaged: they are asked all the same.
        let image = self.load(record, names.clone()).unwrap_or_else(|_| bare(record, names));
        Ok(in_use(&image))
    }
}

/// An image as far as its record tells.
fn bare(record: &Record, names: Vec<Reference>) -> Image {
    let layer = |digest: &Digest| {
        let (diff_id, digest) = (digest.clone(), digest.clone());
        Layer { digest, size: 0, diff_id, media_type: String::new(), urls: Vec::new() }
    };
    Image {
        id: record.config.clone(),
        manifest: record.manifest.clone(),
        target: record.target.clone(),
        names,
        layers: record.layers.iter().map(layer).collect(),
        config: ImageConfig::default(),
        size: 0,
    }
}

/// What a removal is about.
struct Goal {
    record: Option<Record>,
    /// All names of the image; the first `leaving` ones were meant.
    names: Vec<(Reference, PathBuf)>,
    leaving: usize,
    by_id: bool,
}

impl Goal {
    fn short(&self) -> String {
        self.record.as_ref().map(|record| record.config.short().to_owned()).unwrap_or_default()
    }
}

fn repositories(names: &[(Reference, PathBuf)]) -> usize {
    names.iter().map(|(name, _)| name.familiar_name()).collect::<BTreeSet<_>>().len()
}
