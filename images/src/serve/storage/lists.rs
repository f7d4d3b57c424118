//! Lists, each in order and in pages.

use std::collections::BinaryHeap;

use super::{Repository, Storage};
use crate::Digest;
use crate::error::Result;
use crate::store::list;

impl Storage {
    /// Those manifests that are about `subject`, in order.
    pub(in crate::serve) fn referring(&self, repository: &Repository, subject: &Digest) -> Result<Vec<Digest>> {
        let mut found: Vec<Digest> =
            list(&self.referrers(repository, subject))?.iter().filter_map(|name| name.parse().ok()).collect();
        found.sort();
        Ok(found)
    }

    /// At most `most` tags behind `last` in order; `None`: there is no such repository.
    pub(in crate::serve) fn tag_page(&self, repository: &Repository, last: &str, most: usize) -> Result<Option<Vec<String>>> {
        let names = list(&self.folder(repository))?;
        if !names.iter().any(|name| name.starts_with([':', '@', '+'])) {
            return Ok(None);
        }
        let mut page = Page::new(last, most);
        names.iter().filter_map(|name| name.strip_prefix(':')).for_each(|tag| page.offer(tag));
        Ok(Some(page.sorted()))
    }

    /// At most `most` repositories behind `last` in order, of those that have something beginning with one of `sigils`.
    pub(super) fn repository_page(&self, last: &str, most: usize, sigils: &[char]) -> Result<Vec<String>> {
        let refs = self.root.join("refs");
        let mut page = Page::new(last, most);
        let mut left = vec![String::new()];
        while let Some(name) = left.pop() {
            let names = list(&refs.join(&name))?;
            if names.iter().any(|name| name.starts_with(sigils)) {
                page.offer(&name);
            }
            let below = names.iter().filter(|name| !name.starts_with([':', '@', '+', '^']));
            left.extend(below.map(|below| if name.is_empty() { below.clone() } else { format!("{name}/{below}") }));
        }
        Ok(page.sorted())
    }

    /// At most `most` repositories with images behind `last` in order.
    pub(in crate::serve) fn catalog(&self, last: &str, most: usize) -> Result<Vec<String>> {
        self.repository_page(last, most, &[':', '@'])
    }
}

/// The first names behind one of them, however many there are.
struct Page<'a> {
    last: &'a str,
    most: usize,
    names: BinaryHeap<String>,
}

impl<'a> Page<'a> {
    fn new(last: &'a str, most: usize) -> Self {
        Page { last, most, names: BinaryHeap::new() }
    }

    fn offer(&mut self, name: &str) {
        if name > self.last {
            self.names.push(name.to_owned());
            if self.names.len() > self.most {
                self.names.pop();
            }
        }
    }

    fn sorted(self) -> Vec<String> {
        self.names.into_sorted_vec()
    }
}
