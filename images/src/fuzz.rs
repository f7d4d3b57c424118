//! Where strangers' bytes come in, each as one function that takes any bytes, panics when something is wrong, and says nothing else.
//! `cargo test` calls them with seeds and with changes of these; `fuzz/` (cargo-fuzz, a nightly compiler) with what libFuzzer finds.

use std::str::FromStr;

use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};

use crate::erofs::{Sum, Way};
use crate::manifest::{self, Document};
use crate::registry::challenges;
use crate::unpack::testing::{Driver, Place, snapshot};
use crate::{Digest, Reference, serve};

/// The name of an image: what is read is written as what is read again.
pub fn reference(bytes: &[u8]) {
    let Ok(read) = String::from_utf8_lossy(bytes).parse::<Reference>() else { return };
    for text in [read.to_string(), read.familiar()] {
        assert_eq!(text.parse::<Reference>().ok().as_ref(), Some(&read), "{text}");
    }
    assert!(!read.repository().split('/').any(|part| part.is_empty() || part.starts_with('.')), "{read}");
}

/// The lines of a `WWW-Authenticate` header.
pub fn challenge(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(WWW_AUTHENTICATE, value);
        }
    }
    let lines = headers.get_all(WWW_AUTHENTICATE).iter().count();
    assert!(lines > 0 || challenges(&headers).is_empty());
}

/// A manifest or an index, with its media type in the first line.
pub fn manifest(bytes: &[u8]) {
    let (kind, document) =
        bytes.iter().position(|byte| *byte == b'\n').map_or((&[][..], bytes), |at| (&bytes[..at], &bytes[at + 1..]));
    let kind = String::from_utf8_lossy(kind);
    let Ok(read) = manifest::parse(document, &kind) else { return };
    // What it says that it is decides what it is.
    let says = manifest::media_type(document, &kind).unwrap();
    let index = says.contains("index") || says.contains("list");
    assert_eq!(matches!(read, Document::Index(_)), index, "{says}");
    if let Document::Manifest { config, layers } = &read {
        for blob in layers.iter().chain([config]) {
            let said = |data: &bytes::Bytes| (blob.digest.same_kind(data) == blob.digest, data.len() as u64) == (true, blob.size);
            assert!(blob.data.as_ref().is_none_or(said), "{blob:?}");
        }
    }
    for name in read.names() {
        assert_eq!(Digest::from_str(&name.to_string()).ok().as_ref(), Some(&name));
    }
}

/// The path of a request to our own registry: nothing of it leads out of a folder.
pub fn route(bytes: &[u8]) {
    let path = String::from_utf8_lossy(bytes);
    if let Some(names) = serve::names_in(&path) {
        for name in names {
            assert!(!name.starts_with('/') && !name.contains('\0') && name.len() < 1024, "{path}: {name}");
            assert!(!name.split('/').any(|part| part.is_empty() || part == "." || part == ".."), "{path}: {name}");
        }
    }
}

/// An archive as a layer: as a folder tree and as an image it says the same, or is refused. Sums of headers are mended first: a
/// fuzzer would look for them for ever. Needs root.
pub fn archive(bytes: &[u8]) {
    let mut tar = bytes.to_vec();
    mend(&mut tar);
    let (tree, image) = (Place::new(Driver::Tree), Place::new(Driver::Erofs(Way::File)));
    let (one, two) = (tree.unpack(&tar), image.unpack(&tar));
    tree.assert_untouched("the tree");
    if let (Ok(one), Ok(two)) = (&one, &two) {
        assert_eq!(one.implicit, two.implicit);
        assert_eq!(contents(&tree, &one.implicit), contents(&image, &one.implicit));
        assert_eq!(Sum::of(image.image()).unwrap(), two.erofs.as_ref().unwrap().sum);
    }
    match (&one, &two) {
        // What one alone refuses is what a file system cannot hold: numbers of devices, attributes, lengths.
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => assert!(error.errno().is_some(), "one alone refuses: {error:?}"),
        _ => {}
    }
}

/// All that is known of a layer, but times: a tree keeps books on folders by the paths that members give, and a link gives a second one.
/// Nor owners of whiteouts, and of folders that no member describes.
fn contents(place: &Place, implicit: &[Vec<u8>]) -> Vec<String> {
    let line = |line: String| {
        let fields: Vec<&str> = line.splitn(5, ' ').collect();
        let name = fields[0].trim_matches('"').to_owned();
        match fields[1] == "20000" || implicit.iter().any(|folder| folder == name.as_bytes()) {
            true => name,
            false => [fields[0], fields[1], fields[2], fields[4]].join(" "),
        }
    };
    snapshot(&place.root().join(""), false).into_iter().map(line).collect()
}

/// Gives every block that looks like a header its sum (tar(5)).
fn mend(tar: &mut [u8]) {
    for block in tar.chunks_exact_mut(512).filter(|block| block[257..262] == *b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    }
}

#[cfg(test)]
mod tests;
