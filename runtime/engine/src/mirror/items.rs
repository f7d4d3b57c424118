//! What is in memory of pods, or of containers.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use super::watch::{Process, Watch};
use crate::Nanos;

/// One of them.
#[derive(Debug)]
pub(super) struct Item<T> {
    /// None of one that is damaged, or that is not to be listed.
    pub(super) value: Option<Arc<T>>,
    pub(super) created: Nanos,
    /// The pod of a container.
    pub(super) pod: Option<String>,
    /// It changes only with its files and its process, which are watched.
    pub(super) sure: bool,
    pub(super) folders: Vec<i32>,
    pub(super) process: Option<Process>,
}

impl<T> Default for Item<T> {
    fn default() -> Self {
        Item { value: None, created: 0, pod: None, sure: true, folders: Vec::new(), process: None }
    }
}

/// All of them, by id.
#[derive(Debug)]
pub(super) struct Items<T>(HashMap<String, Item<T>>);

impl<T> Default for Items<T> {
    fn default() -> Self {
        Items(HashMap::new())
    }
}

impl<T> Items<T> {
    /// Those that are wanted, newest first.
    pub(super) fn newest(&self, wanted: impl Fn(&Item<T>) -> bool) -> Vec<Arc<T>> {
        let there = self.0.values().filter(|item| wanted(item));
        let mut there: Vec<_> = there.filter_map(|item| Some((Reverse(item.created), item.value.as_ref()?))).collect();
        there.sort_by_key(|(created, _)| *created);
        there.into_iter().map(|(_, value)| Arc::clone(value)).collect()
    }

    /// The ids of those that are to be read again each time.
    pub(super) fn unsure(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter(|(_, item)| !item.sure).map(|(id, _)| id.clone())
    }

    /// Takes what `id` is now, or nothing when it is gone; with it which folders are watched for it, and whether those are all.
    pub(super) fn put(&mut self, watch: &mut Option<Watch>, id: &str, item: Option<Item<T>>, watched: (Vec<i32>, bool)) {
        let (folders, all) = watched;
        let old = self.0.remove(id).unwrap_or_default();
        if let Some(watch) = watch {
            let kept = |folder: &i32| item.is_some() && folders.contains(folder);
            old.folders.iter().chain(&folders).filter(|folder| !kept(folder)).for_each(|folder| watch.forget(*folder));
            if let Some(process) = old.process {
                watch.release(process);
            }
        }
        if let Some(item) = item {
            self.0.insert(id.to_owned(), Item { sure: item.sure && all, folders, ..item });
        }
    }
}
