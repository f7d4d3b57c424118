//! Images that nobody uses go when the disk is nearly full.

use crate::node::Node;

use super::super::actual::{Nanos, SECOND};

/// An image that might go.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Candidate {
    id: String,
    /// When it was used or pulled last.
    used: Nanos,
}

/// Removes unused images, the one that was not used for longest first, until `enough` says so. Pinned ones stay, and those that were just pulled, as
/// somebody may be about to use them: `age` seconds. Answers how many went.
pub(super) fn collect(node: &Node, age: u64, enough: &dyn Fn() -> bool) -> Result<usize, images::Error> {
    let mut gone = 0;
    let engine = node.engine();
    let store = engine.images();
    for id in order(candidates(node)?, age, engine::now()) {
        if enough() {
            break;
        }
        match store.remove(&id, true, &|image| engine.users_of(image)) {
            Ok(_) => gone += 1,
            // Somebody has begun to use it, or was faster.
            Err(images::Error::InUse { .. } | images::Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(gone)
}

fn candidates(node: &Node) -> Result<Vec<Candidate>, images::Error> {
    let (engine, config) = (node.engine(), node.config());
    let pinned: Vec<images::Reference> = config.images.pinned.iter().filter_map(|name| name.parse().ok()).collect();
    let store = engine.images();
    let all = store.images()?;
    // One id may be here under several manifests: it is used if one of them is.
    let is_kept = |id: &str| {
        let mut same = all.iter().filter(|image| image.id.to_string() == id);
        same.any(|image| image.names.iter().any(|name| pinned.contains(name)) || !engine.users_of(image).is_empty())
    };
    let mut candidates: Vec<Candidate> = Vec::new();
    for image in &all {
        let (id, used) = (image.id.to_string(), store.last_used(image).unwrap_or(0));
        match candidates.iter_mut().find(|known| known.id == id) {
            Some(known) => known.used = known.used.max(used),
            None => candidates.push(Candidate { id, used }),
        }
    }
    candidates.retain(|candidate| !is_kept(&candidate.id));
    Ok(candidates)
}

fn order(mut candidates: Vec<Candidate>, age: u64, now: Nanos) -> Vec<String> {
    candidates.retain(|candidate| now.saturating_sub(candidate.used) >= age.saturating_mul(SECOND));
    candidates.sort_by(|a, b| (a.used, &a.id).cmp(&(b.used, &b.id)));
    candidates.into_iter().map(|candidate| candidate.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_not_used_for_longest_goes_first() {
        let image = |id: &str, used: u64| Candidate { id: id.to_owned(), used: used * SECOND };
        let all = vec![image("new", 999), image("b", 500), image("a", 100), image("just", 880)];
        assert_eq!(order(all, 120, 1000 * SECOND), ["a", "b", "just"]);
    }
}
