//! From one registry to another, and what is about an image.
#![allow(clippy::print_stderr, reason = "skipped tests say so")]

use images::{CopyOptions, Digest, Event, Progress, Reference, copy};
use serde_json::{Value, json};
use std::sync::Mutex;

use crate::host::{Host, INDEX, MANIFEST};

/// What became of each blob.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Progress for Heard {
    fn event(&self, event: Event<'_>) {
        let text = match event {
            Event::Exists(_) => "exists".to_owned(),
            Event::Mounted { from, .. } => format!("mounted from {from}"),
            Event::Done(_) => "sent".to_owned(),
            _ => return,
        };
        self.0.lock().unwrap().push(text);
    }
}

impl Heard {
    fn sorted(self) -> Vec<String> {
        let mut all = self.0.into_inner().unwrap();
        all.sort();
        all
    }
}

fn name(host: &Host, rest: &str) -> Reference {
    format!("{}/{rest}", host.address).parse().unwrap()
}

fn options(platform: Option<&str>, referrers: bool) -> CopyOptions {
    CopyOptions { platform: platform.map(|platform| platform.parse().unwrap()), referrers, ..CopyOptions::default() }
}

/// An index of two images, the second one in an index of its own too, under `a/b:all`.
fn nested(host: &Host) -> (Digest, Digest) {
    let entry = |architecture: &str, content: &[u8]| {
        let digest = host.push("a/b", architecture, content);
        let size = host.get(&format!("/v2/a/b/manifests/{digest}")).body.len();
        let platform = json!({"os": "linux", "architecture": architecture});
        (json!({"mediaType": MANIFEST, "digest": digest, "size": size, "platform": platform}), digest)
    };
    let ((amd64, _), (arm64, second)) = (entry("amd64", b"one"), entry("arm64", b"two"));
    let inner = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [arm64]});
    let put = host.put_manifest("a/b", "inner", &inner);
    let inner = json!({"mediaType": INDEX, "digest": put.header("docker-content-digest"), "size": inner.to_string().len()});
    let all = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [arm64, inner, amd64]});
    let put = host.put_manifest("a/b", "all", &all);
    assert_eq!(put.status, 201, "{put:?}");
    (put.header("docker-content-digest").parse().unwrap(), second)
}

#[test]
fn all_platforms() {
    let (from, to) = (Host::new(), Host::new());
    let (all, _) = nested(&from);
    let heard = Heard::default();
    let copied = copy(&name(&from, "a/b:all"), &name(&to, "c:new"), &options(None, false), &heard).unwrap();
    assert_eq!(copied.digest, all);
    assert_eq!(heard.sorted(), ["sent", "sent", "sent"], "two layers and the config that both have");
    assert_eq!(to.get("/v2/c/tags/list").json()["tags"], json!(["new"]));
    assert_eq!(to.get("/v2/c/manifests/new").body, from.get("/v2/a/b/manifests/all").body);
    // Once more: nothing moves.
    let heard = Heard::default();
    copy(&name(&from, "a/b:all"), &name(&to, "c:new"), &options(None, false), &heard).unwrap();
    assert_eq!(heard.sorted(), ["exists", "exists", "exists"]);
}

#[test]
fn one_platform() {
    let (from, to) = (Host::new(), Host::new());
    let (_, second) = nested(&from);
    let heard = Heard::default();
    let copied = copy(&name(&from, "a/b:all"), &name(&to, "c:arm"), &options(Some("linux/arm64"), false), &heard).unwrap();
    assert_eq!((copied.digest.clone(), heard.sorted().len()), (second.clone(), 2));
    let error = copy(&name(&from, "a/b:all"), &name(&to, "c:x"), &options(Some("linux/s390x"), false), &()).unwrap_err();
    assert_eq!(
        error.to_string().replace(&from.address.to_string(), "HOST"),
        "HOST/a/b:all is not made for linux/s390x, only for linux/arm64"
    );
}

#[test]
fn within_a_registry() {
    let host = Host::new();
    let (all, _) = nested(&host);
    let heard = Heard::default();
    let copied = copy(&name(&host, "a/b:all"), &name(&host, "c:new"), &options(None, false), &heard).unwrap();
    assert_eq!(copied.digest, all);
    assert_eq!(heard.sorted(), ["mounted from a/b", "mounted from a/b", "mounted from a/b"]);
    // A further tag of the same repository, and by digest.
    let by_digest: Reference = name(&host, &format!("a/b@{all}"));
    copy(&by_digest, &name(&host, "a/b:again"), &options(None, false), &()).unwrap();
    assert_eq!(host.get("/v2/a/b/manifests/again").header("docker-content-digest"), all.as_str());
}

/// Pushes something that is about an image, and answers with its digest.
fn signature(host: &Host, subject: &Digest) -> Digest {
    let mut manifest = host.image("a/b", b"signature");
    manifest["artifactType"] = json!("application/vnd.sig");
    manifest["subject"] = json!({"mediaType": MANIFEST, "digest": subject, "size": 1});
    let put = host.put_manifest("a/b", Digest::sha256(manifest.to_string().as_bytes()).as_str(), &manifest);
    assert_eq!(put.status, 201, "{put:?}");
    put.header("docker-content-digest").parse().unwrap()
}

#[test]
fn with_what_refers_to_it() {
    let (from, to) = (Host::new(), Host::new());
    let (all, second) = nested(&from);
    let (first, of_second) = (signature(&from, &all), signature(&from, &second));
    copy(&name(&from, "a/b:all"), &name(&to, "c:bare"), &options(None, false), &()).unwrap();
    let referrers = |subject: &Digest| to.get(&format!("/v2/c/referrers/{subject}")).json()["manifests"].clone();
    assert_eq!(referrers(&all), json!([]));
    copy(&name(&from, "a/b:all"), &name(&to, "c:signed"), &options(None, true), &()).unwrap();
    assert_eq!((referrers(&all)[0]["digest"].clone(), referrers(&second)[0]["digest"].clone()), (json!(first), json!(of_second)));
}

/// A registry that keeps no lists of referrers: a tag stands in for them, in both directions.
#[test]
fn where_no_lists_are_kept() {
    let Some(old) = crate::debian::Registry::start() else {
        eprintln!("skipped: needs docker-registry");
        return;
    };
    let (from, back) = (Host::new(), Host::new());
    let (all, _) = nested(&from);
    let first = signature(&from, &all);
    let there: Reference = format!("{}/c:signed", old.address).parse().unwrap();
    copy(&name(&from, "a/b:all"), &there, &options(None, true), &()).unwrap();
    copy(&name(&from, "a/b:all"), &there, &options(None, true), &()).unwrap();
    copy(&there, &name(&back, "d:signed"), &options(None, true), &()).unwrap();
    let listed = back.get(&format!("/v2/d/referrers/{all}")).json()["manifests"].clone();
    assert_eq!(
        listed,
        json!([{"mediaType": MANIFEST, "digest": first, "size": listed[0]["size"], "artifactType": "application/vnd.sig"}])
    );
    let tagged: Reference = format!("{}/c:sha256-{}", old.address, all.hex()).parse().unwrap();
    copy(&tagged, &name(&back, "d:list"), &options(None, false), &()).unwrap();
    let list: Value = back.get("/v2/d/manifests/list").json();
    assert_eq!(list["manifests"].as_array().unwrap().len(), 1, "noted once");
    // A list that says that an image is about another one does not make it so.
    let other = from.push("a/b", "other", b"other");
    let size = from.get("/v2/a/b/manifests/other").body.len();
    let lie =
        json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [{"mediaType": MANIFEST, "digest": other, "size": size}]});
    assert_eq!(from.put_manifest("a/b", "lie", &lie).status, 201);
    copy(&name(&from, "a/b:lie"), &tagged, &options(None, false), &()).unwrap();
    copy(&there, &name(&back, "e:signed"), &options(None, true), &()).unwrap();
    assert_eq!(back.get(&format!("/v2/e/manifests/{other}")).status, 404);
}

#[test]
fn what_cannot_be_copied() {
    let (from, to) = (Host::new(), Host::with(|options| options.read_only = true));
    nested(&from);
    let error = copy(&name(&from, "a/b:none"), &name(&to, "c"), &options(None, false), &()).unwrap_err();
    assert!(error.to_string().contains("a/b:none from "), "{error}");
    let error = copy(&name(&from, "a/b:all"), &name(&to, "c"), &options(None, false), &()).unwrap_err();
    let said = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(said, "405 Method Not Allowed: this registry is read-only");
}
