//! Seeds, and changes of them.

use proptest::prelude::*;
use tar::EntryType;

use super::*;
use crate::unpack::testing::{Tar, root};

/// A seed with some bytes cut out, and others put in.
fn changed(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..4), 0usize..5);
    (prop::sample::select(seeds), prop::collection::vec(edit, 0..6)).prop_map(|(mut bytes, edits)| {
        for (at, new, cut) in edits {
            let at = at.index(bytes.len() + 1);
            bytes.splice(at..(at + cut).min(bytes.len()), new);
        }
        bytes
    })
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

const HEX: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn references() -> Vec<Vec<u8>> {
    let digest = format!("h.io:5/a/b.c__d@{HEX}");
    texts(&["busybox", "docker.io/library/busybox:1.36", "localhost:5000/a/b-c:v1", "[::1]:5/x", &digest, "a..b", "../x", ":", ""])
}

fn challenge_lines() -> Vec<Vec<u8>> {
    texts(&[
        r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
        "Basic realm=\"a, b\"\nBearer realm=https://a/t",
        r#"Digest nonce="\"Bearer realm=\\", Basic"#,
    ])
}

fn manifests() -> Vec<Vec<u8>> {
    let blob = |kind: &str| format!(r#"{{"mediaType":"application/vnd.oci.image.{kind}","digest":"{HEX}","size":7}}"#);
    let manifest = format!(
        "application/vnd.oci.image.manifest.v1+json\n{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\
         \"config\":{},\"layers\":[{}]}}",
        blob("config.v1+json"),
        blob("layer.v1.tar+gzip")
    );
    let index = format!(
        "\n{{\"schemaVersion\":2,\"manifests\":[{{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"{HEX}\",\
         \"size\":5,\"platform\":{{\"os\":\"linux\",\"architecture\":\"arm\",\"variant\":\"v7\"}}}}]}}"
    );
    let inline =
        format!(r#"{{"mediaType":"x","digest":"{}","size":1,"urls":["https://a/b"],"data":"eA=="}}"#, Digest::sha256(b"x"));
    let within = format!("\n{{\"schemaVersion\":2,\"config\":{inline},\"layers\":[{inline}]}}");
    vec![manifest.into_bytes(), index.into_bytes(), within.into_bytes(), b"text/html\n<html>".to_vec()]
}

fn routes() -> Vec<Vec<u8>> {
    let upload = format!("/v2/x/blobs/uploads/{}", "0".repeat(32));
    let blob = format!("/v2/a/b/blobs/{HEX}");
    texts(&[
        "/v2/",
        "/v2/_catalog",
        "/v2\u{e9}/x",
        "/v2/a/tags/list",
        "/v2/a/b/manifests/v1",
        "/v2/%2e%2e/manifests/x",
        "/v2/a%2fb/tags/list",
        &blob,
        &upload,
    ])
}

fn archives() -> Vec<Vec<u8>> {
    let plain = Tar::default().dir("d").file("d/f", "text").symlink("d/s", "f").link("h", "d/f").file("d/.wh.f", "");
    let long = Tar::default()
        .pax(&[("path", b"d/long"), ("SCHILY.xattr.user.n", b"v")])
        .file("x", &"y".repeat(700))
        .file(".wh..wh..opq", "");
    let odd = Tar::default()
        .entry(EntryType::Fifo, "p", "", b"")
        .with(EntryType::Char, "c", "", b"", |header| {
            header.set_device_major(1).unwrap();
            header.set_device_minor(3).unwrap();
        })
        .symlink("up", "../outside")
        .file("up/f", "x")
        .link("up2", "../canary");
    let sparse = Tar::default().pax(&[("GNU.sparse.map", b"0,1,3,1"), ("GNU.sparse.size", b"9")]).file("s", "xy");
    [plain, long, odd, sparse].into_iter().map(Tar::end).collect()
}

#[test]
fn the_seeds_themselves() {
    references().iter().for_each(|seed| reference(seed));
    challenge_lines().iter().for_each(|seed| challenge(seed));
    manifests().iter().for_each(|seed| manifest(seed));
    routes().iter().for_each(|seed| route(seed));
    if root() {
        archives().iter().for_each(|seed| archive(seed));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_references(bytes in changed(references())) {
        reference(&bytes);
    }

    #[test]
    fn changed_challenges(bytes in changed(challenge_lines())) {
        challenge(&bytes);
    }

    #[test]
    fn changed_manifests(bytes in changed(manifests())) {
        manifest(&bytes);
    }

    #[test]
    fn changed_routes(bytes in changed(routes())) {
        route(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_archives(bytes in changed(archives())) {
        if root() {
            archive(&bytes);
        }
    }
}
