//! Layers that may not be given to others: who has them, and who gets them.

use images::{CopyOptions, Digest, Platform, PullOptions, PushOptions, Reference, SaveOptions, Store, copy};
use serde_json::json;

use crate::host::{Host, MANIFEST};

/// An archive with a file.
fn layer() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_uid(rustix::process::geteuid().as_raw().into());
    header.set_gid(rustix::process::getegid().as_raw().into());
    header.set_size(3);
    tar.append_data(&mut header, "name", &b"abc"[..]).unwrap();
    tar.into_inner().unwrap()
}

/// An image `a/b:v1` whose only layer is at another host.
fn foreign(host: &Host, at: &Host) -> Digest {
    let (layer, platform) = (layer(), Platform::host());
    let digest = at.push_blob("files", &layer);
    let rootfs = json!({"type": "layers", "diff_ids": [digest]});
    let config = json!({"os": platform.os, "architecture": platform.architecture, "rootfs": rootfs}).to_string();
    let url = format!("http://{}/v2/files/blobs/{digest}", at.address);
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json", "digest": host.push_blob("a/b", config.as_bytes()),
            "size": config.len()
        },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar", "digest": digest, "size": layer.len(), "urls": [url]
        }],
    });
    let put = host.put_manifest("a/b", "v1", &manifest);
    assert_eq!(put.status, 201, "{put:?}");
    digest
}

fn name(host: &Host, rest: &str) -> Reference {
    format!("{}/{rest}", host.address).parse().unwrap()
}

fn has(host: &Host, repository: &str, layer: &Digest) -> bool {
    host.get(&format!("/v2/{repository}/blobs/{layer}")).status == 200
}

#[test]
fn they_are_not_given_away_unless_that_is_asked_for() {
    let (files, from, to) = (Host::new(), Host::new(), Host::new());
    let layer = foreign(&from, &files);
    let (v1, copied) = (name(&from, "a/b:v1"), name(&to, "copied:v1"));
    copy(&v1, &copied, &CopyOptions::default(), &()).unwrap();
    assert!(!has(&to, "copied", &layer));
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let image = images::pull(&store, &copied, &PullOptions::default(), &()).unwrap().image;
    assert_eq!(std::fs::read(store.lower(&image).unwrap()[0].path().join("name")).unwrap(), b"abc");
    let push = |to: &Reference, nondistributable| {
        store.tag(&image, to).unwrap();
        images::push(&store, to, &PushOptions { nondistributable, ..PushOptions::default() }, &()).unwrap();
    };
    push(&name(&to, "pushed:v1"), false);
    assert!(!has(&to, "pushed", &layer));
    // What is not kept is fetched again from where it was.
    push(&name(&to, "pushed:v1"), true);
    assert!(has(&to, "pushed", &layer));
    copy(&v1, &name(&to, "all:v1"), &CopyOptions { nondistributable: true, ..CopyOptions::default() }, &()).unwrap();
    assert!(has(&to, "all", &layer));
    let mut saved = Vec::new();
    images::save(&store, &[copied.to_string()], &SaveOptions::default(), &mut saved, &()).unwrap();
    assert!(saved.windows(3).any(|bytes| bytes == b"abc"), "an archive has all");
}

/// An image that is made of them says where they are.
#[test]
fn they_stay_where_they_are_in_what_is_built_of_them() {
    let (files, from) = (Host::new(), Host::new());
    foreign(&from, &files);
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let image = images::pull(&store, &name(&from, "a/b:v1"), &PullOptions::default(), &()).unwrap().image;
    let config = serde_json::from_slice(&store.config_bytes(&image).unwrap()).unwrap();
    let made = store.make_image(&images::NewImage { config, layers: &image.layers, names: &[] }).unwrap();
    assert_eq!((&made.layers, made.layers[0].urls.len()), (&image.layers, 1));
}
