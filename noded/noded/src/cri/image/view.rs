//! Images as CRI shows them.

use std::collections::BTreeMap;

use cri::Int64Value;
use images::{Digest, Image, Reference};
use serde_json::json;

/// One entry for each id: the same content from two registries is one image. `pinned` are names of images that stay.
pub(super) fn images(images: &[Image], pinned: &[String]) -> Vec<cri::Image> {
    let pinned: Vec<Reference> = pinned.iter().filter_map(|name| name.parse().ok()).collect();
    let mut views: BTreeMap<&Digest, cri::Image> = BTreeMap::new();
    for image in images {
        let view = views.entry(&image.id).or_insert_with(|| without_names(image));
        for name in &image.names {
            view.repo_tags.extend(name.tag().map(|_| name.to_string()));
            let digested = name.with_digest(&image.target).to_string();
            if !view.repo_digests.contains(&digested) {
                view.repo_digests.push(digested);
            }
            view.pinned |= pinned.contains(name);
        }
    }
    views.into_values().collect()
}

fn without_names(image: &Image) -> cri::Image {
    let (uid, username) = user(&image.config.config.user);
    cri::Image {
        id: image.id.to_string(),
        // An image without a file has a size, too: the kubelet takes 0 for a mistake.
        size: image.size.max(1),
        uid,
        username,
        ..cri::Image::default()
    }
}

/// The user of an image's config, which may have a group behind it, as a number or as a name.
fn user(text: &str) -> (Option<Int64Value>, String) {
    let user = text.split(':').next().unwrap_or_default();
    match user.parse() {
        Ok(value) => (Some(Int64Value { value }), String::new()),
        Err(_) => (None, user.to_owned()),
    }
}

/// What `crictl inspecti` shows beside that.
pub(super) fn info(image: &Image, config: &[u8]) -> BTreeMap<String, String> {
    let config: serde_json::Value = serde_json::from_slice(config).unwrap_or_default();
    BTreeMap::from([("info".to_owned(), json!({ "imageSpec": config, "manifest": image.manifest.to_string() }).to_string())])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(id: &str, target: &str, names: &[&str], user: &str) -> Image {
        let mut config = images::ImageConfig::default();
        config.config.user = user.to_owned();
        let digest = |text: &str| Digest::sha256(text.as_bytes());
        let names = names.iter().map(|name| name.parse().unwrap()).collect();
        Image { id: digest(id), manifest: digest(target), target: digest(target), names, layers: Vec::new(), config, size: 0 }
    }

    #[test]
    fn the_same_content_is_one_image() {
        let digest = Digest::sha256(b"t");
        let two = [image("a", "t", &["r.io/x:1", "q.io/x:2"], ""), image("a", "u", &[], ""), image("b", "t", &[], "")];
        let views = images(&two, &["r.io/x:1".to_owned()]);
        assert_eq!(views.len(), 2);
        let view = views.iter().find(|view| view.id == two[0].id.to_string()).unwrap();
        assert_eq!(view.repo_tags, ["r.io/x:1", "q.io/x:2"]);
        assert_eq!(view.repo_digests, [format!("r.io/x@{digest}"), format!("q.io/x@{digest}")]);
        assert!(view.pinned && view.size > 0);
        assert!(!views.iter().any(|view| view.id != two[0].id.to_string() && view.pinned));
    }

    #[test]
    fn a_name_with_a_digest_is_no_tag() {
        let digest = Digest::sha256(b"t");
        let name = format!("r.io/x@{digest}");
        let views = images(&[image("a", "t", &[&name], "")], &[]);
        assert!(views[0].repo_tags.is_empty());
        assert_eq!(views[0].repo_digests, [name]);
    }

    #[test]
    fn users_are_numbers_or_names() {
        let number = |value| Some(Int64Value { value });
        assert_eq!(user("1002"), (number(1002), String::new()));
        assert_eq!(user("1003:users"), (number(1003), String::new()));
        assert_eq!(user("www-data:5"), (None, "www-data".to_owned()));
        assert_eq!(user(""), (None, String::new()));
    }
}
