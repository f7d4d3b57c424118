//! What builds have left for the next ones, and giving it up.

use std::collections::BTreeMap;
use std::time::Duration;

use images::CacheEntry;
use rustix::fs::FileType;
use sys::Call;

use crate::error::During;
use crate::{Engine, Error};

/// What builds remember.
#[derive(Debug, Default)]
pub struct BuildCache {
    /// Steps, the least recently used first.
    pub steps: Vec<CacheEntry>,
    /// Bytes of the folders of `--mount=type=cache`.
    pub mounts: u64,
}

impl BuildCache {
    /// Bytes that pruning all of it would free.
    pub fn reclaimable(&self) -> u64 {
        // Two steps may have made the same layer.
        let own = self.steps.iter().filter(|step| !step.shared).filter_map(|step| Some((step.layer.as_ref()?, step.bytes)));
        own.collect::<BTreeMap<_, _>>().values().sum::<u64>() + self.mounts
    }
}

impl Engine {
    /// What builds remember: for `system df`, and for lists.
    pub fn build_cache(&self) -> Result<BuildCache, Error> {
        Ok(BuildCache { steps: self.images.cache_entries()?, mounts: self.cache_mounts()? })
    }

    /// Forgets what no build has used for `unused`, and frees what only that needs; with `mounts` also the folders of
    /// `--mount=type=cache` that no build uses now. Answers what was forgotten, and removes what builds have left whose process was killed.
    pub fn prune_builds(&self, unused: Duration, mounts: bool) -> Result<BuildCache, Error> {
        super::job::sweep(self);
        let steps = self.images.forget(unused)?;
        let mut freed = 0;
        if mounts {
            let before = self.cache_mounts()?;
            self.remove_mounts()?;
            freed = before.saturating_sub(self.cache_mounts()?);
        }
        self.images.sweep()?;
        Ok(BuildCache { steps, mounts: freed })
    }

    fn remove_mounts(&self) -> Result<(), Error> {
        let what = || "remove the folders of --mount=type=cache";
        let folder = self.config.root.join("build/mounts");
        if !folder.exists() {
            return Ok(());
        }
        let all = sys::fs::open_dir(&folder).during(what)?;
        for name in sys::fs::list(&all).during(what)? {
            // The folder of one run alone, whose cache somebody else was using.
            let private = name.to_str().and_then(|name| name.strip_prefix(".private-")).and_then(|rest| rest.split('-').next());
            if private.is_some_and(super::job::alive) {
                continue;
            }
            let lock = folder.join(&name).with_extension("lock");
            let file = std::fs::File::open(&lock);
            let busy = file.as_ref().is_ok_and(|file| file.try_lock().is_err());
            if !busy && !lock.ends_with(&name) {
                sys::fs::remove_tree(&all, &name).during(what)?;
            }
        }
        Ok(())
    }

    fn cache_mounts(&self) -> Result<u64, Error> {
        let folder = self.config.root.join("build/mounts");
        if folder.exists() { size(&folder).during(|| "look at the folders of --mount=type=cache") } else { Ok(0) }
    }
}

/// Bytes of all files below a folder.
fn size(folder: &std::path::Path) -> sys::Result<u64> {
    let mut total = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).call(|| format!("open({folder:?})"))?.flatten() {
            let Ok(metadata) = entry.path().symlink_metadata() else { continue };
            let kind = FileType::from_raw_mode(std::os::unix::fs::MetadataExt::mode(&metadata));
            match kind {
                FileType::Directory => folders.push(entry.path()),
                _ => total += metadata.len(),
            }
        }
    }
    Ok(total)
}
