//! The images of this host, as its Node object tells of them: the scheduler prefers a node that has what a pod needs.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cri::local;
use crate::node::Node;

/// So many images are told of, the largest ones, and so many names of each: as a kubelet does it.
const MOST: usize = 50;
const NAMES: usize = 5;

/// A disk that does not answer must not keep the node from saying that it lives.
const PATIENCE: Duration = Duration::from_secs(2);

/// The images that there are now; none if they cannot be read.
pub(super) async fn told(node: &Arc<Node>) -> Vec<Value> {
    let all = tokio::time::timeout(PATIENCE, local::images(node)).await;
    listed(all.ok().and_then(Result::ok).unwrap_or_default())
}

fn listed(mut all: Vec<cri::Image>) -> Vec<Value> {
    all.sort_by(|a, b| (Reverse(a.size), &a.id).cmp(&(Reverse(b.size), &b.id)));
    let told = all.into_iter().map(|image| (image.repo_digests.into_iter().chain(image.repo_tags).take(NAMES), image.size));
    let told = told.map(|(names, size)| (names.collect::<Vec<_>>(), size)).filter(|(names, _)| !names.is_empty());
    told.take(MOST).map(|(names, size)| json!({ "names": names, "sizeBytes": size })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_ones_are_told_of() {
        let image = |size: u64, tags: &[&str]| cri::Image {
            id: size.to_string(),
            size,
            repo_tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            ..cri::Image::default()
        };
        let mut all: Vec<cri::Image> = (1..80).map(|size| image(size, &["a:1"])).collect();
        all.push(image(1000, &["1", "2", "3", "4", "5", "6"]));
        all.push(image(2000, &[]));
        let told = listed(all);
        assert_eq!((told.len(), &told[0]["sizeBytes"], &told[49]["sizeBytes"]), (50, &json!(1000), &json!(31)));
        assert_eq!(told[0]["names"], json!(["1", "2", "3", "4", "5"]));
    }
}
