//! Pulls that a policy lets in, or not.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use rcgen::{KeyPair, SigningKey};

use super::server::{Answer, Server};
use super::*;
use crate::{Platform, Policy, PullOptions, Pulled, Store, pull};

const NAME: &str = "127.0.0.1:1/a/b:v1";

/// What a registry has, by the end of the path.
type Files = BTreeMap<String, (Vec<u8>, &'static str)>;

fn put(files: &mut Files, path: String, body: String, kind: &'static str) -> Digest {
    let digest = Digest::sha256(body.as_bytes());
    let path = if path.is_empty() { format!("manifests/{digest}") } else { path };
    files.insert(path, (body.into_bytes(), kind));
    digest
}

/// An image by `author`, by its digest only.
fn image(files: &mut Files, author: &str) -> Digest {
    let host = Platform::host();
    let config = format!(
        r#"{{"os":"{}","architecture":"{}","author":"{author}","rootfs":{{"type":"layers","diff_ids":[]}}}}"#,
        host.os, host.architecture
    );
    let digest = Digest::sha256(config.as_bytes());
    let manifest = MANIFEST.replace(Digest::sha256(b"").as_str(), digest.as_str());
    let manifest = manifest.replace("\"size\":0", &format!("\"size\":{}", config.len()));
    put(files, format!("blobs/{digest}"), config, "application/octet-stream");
    put(files, String::new(), manifest, MANIFEST_TYPE)
}

/// An index of the image with this manifest.
fn index(files: &mut Files, manifest: &Digest) -> Digest {
    const KIND: &str = "application/vnd.oci.image.index.v1+json";
    let (host, size) = (Platform::host(), files[&format!("manifests/{manifest}")].0.len());
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{KIND}","manifests":[{{"mediaType":"{MANIFEST_TYPE}","digest":"{manifest}","size":{size},
        "platform":{{"os":"{}","architecture":"{}"}}}}]}}"#,
        host.os, host.architecture
    );
    put(files, String::new(), index, KIND)
}

/// Puts a signature beside the image `beside`, which says that `name` is `digest`.
fn sign(files: &mut Files, key: &KeyPair, beside: &Digest, name: &str, digest: &Digest) {
    let payload = format!(
        r#"{{"critical":{{"identity":{{"docker-reference":"{name}"}},"image":{{"docker-manifest-digest":"{digest}"}},"type":"cosign container image signature"}},"optional":null}}"#
    );
    let signature = base64::engine::general_purpose::STANDARD.encode(key.sign(payload.as_bytes()).unwrap());
    let (blob, size) = (Digest::sha256(payload.as_bytes()), payload.len());
    put(files, format!("blobs/{blob}"), payload, "application/octet-stream");
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST_TYPE}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{0}","size":2}},
        "layers":[{{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json","digest":"{blob}","size":{size},
        "annotations":{{"dev.cosignproject.cosign/signature":"{signature}"}}}}]}}"#,
        Digest::sha256(b"{}")
    );
    put(files, format!("manifests/sha256-{}.sig", beside.hex()), manifest, MANIFEST_TYPE);
}

/// A registry where `v1` is each of `tagged` in turn, and at last the last of them.
async fn serve(files: Files, tagged: &[&Digest]) -> Server {
    let (tagged, asked): (Vec<Digest>, _) = (tagged.iter().map(|digest| (*digest).clone()).collect(), AtomicUsize::new(0));
    Server::start(move |request| {
        let mut path = request.path.strip_prefix("/v2/a/b/").unwrap().to_owned();
        if path == "manifests/v1" {
            let at = asked.fetch_add(1, Ordering::SeqCst).min(tagged.len() - 1);
            path = format!("manifests/{}", tagged[at]);
        }
        match files.get(&path) {
            Some((body, kind)) => Answer::new(200, body.clone()).with("content-type", *kind),
            None => Answer::new(404, ""),
        }
    })
    .await
}

fn policy(requirement: &str) -> Policy {
    let text = format!(r#"{{"default":[{{"type":"reject"}}],"transports":{{"docker":{{"127.0.0.1:1/a":[{requirement}]}}}}}}"#);
    let (_folder, files) = file("policy.json", &text);
    Policy::load(&files).unwrap()
}

/// One that asks for a signature by this key, under any tag of the repository.
fn signed_by(key: &Path) -> Policy {
    policy(&format!(r#"{{"type":"sigstoreSigned","keyPath":"{}","signedIdentity":{{"type":"matchRepository"}}}}"#, key.display()))
}

struct Keys {
    folder: tempfile::TempDir,
    pair: KeyPair,
}

impl Keys {
    fn new() -> Keys {
        let (folder, pair) = (tempfile::tempdir().unwrap(), KeyPair::generate().unwrap());
        std::fs::write(folder.path().join("key"), pair.public_key_pem()).unwrap();
        Keys { folder, pair }
    }

    fn policy(&self) -> Policy {
        signed_by(&self.folder.path().join("key"))
    }
}

async fn pulled(store: &Store, server: &Server, policy: Policy) -> Result<Pulled, String> {
    let text = format!("[[registry]]\nlocation = '127.0.0.1:1'\nmirror = [{{ location = '{}' }}]", server.host());
    let options = PullOptions { registries: registries(&text), policy, ..PullOptions::default() };
    let store = store.clone();
    let blocking = move || pull(&store, &NAME.parse().unwrap(), &options, &());
    tokio::task::spawn_blocking(blocking).await.unwrap().map_err(|error| chain(&error))
}

/// A pull with a store of its own; nothing may be left where it fails.
async fn tried(server: &Server, policy: Policy) -> Result<Digest, String> {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let done = pulled(&store, server, policy).await;
    if done.is_err() {
        assert!(store.image(NAME).is_err());
    }
    done.map(|pulled| pulled.image.manifest)
}

#[tokio::test]
async fn what_is_rejected_is_not_even_asked_for() {
    let mut files = Files::new();
    let one = image(&mut files, "one");
    let server = serve(files, &[&one]).await;
    for requirement in [r#"{"type":"reject"}"#, r#"{"type":"signedBy","keyType":"GPGKeys","keyPath":"/k"}"#] {
        let why = tried(&server, policy(requirement)).await.unwrap_err();
        assert!(why.contains("is refused by") && why.contains("scope 127.0.0.1:1/a of"), "{why}");
    }
    assert!(server.paths().is_empty(), "{:?}", server.paths());
    assert_eq!(tried(&server, policy(r#"{"type":"insecureAcceptAnything"}"#)).await, Ok(one));
}

#[tokio::test]
async fn a_signature_is_of_the_image_or_of_its_index() {
    let keys = Keys::new();
    for of_index in [false, true] {
        let mut files = Files::new();
        let one = image(&mut files, "one");
        let all = index(&mut files, &one);
        let signed = if of_index { &all } else { &one };
        sign(&mut files, &keys.pair, signed, "127.0.0.1:1/a/b", signed);
        let server = serve(files, &[&all]).await;
        assert_eq!(tried(&server, keys.policy()).await, Ok(one));
        // The usual identity asks for the tag, too, which cosign does not sign.
        let key = keys.folder.path().join("key");
        let why =
            tried(&server, policy(&format!(r#"{{"type":"sigstoreSigned","keyPath":"{}"}}"#, key.display()))).await.unwrap_err();
        assert!(why.contains("a signature is for the name \"127.0.0.1:1/a/b\""), "{why}");
    }
}

#[tokio::test]
async fn a_signature_of_something_else_is_none() {
    let keys = Keys::new();
    let stranger = KeyPair::generate().unwrap();
    for (pair, name, of_other, why) in [
        (&keys.pair, "127.0.0.1:1/a/b", true, "a signature is of sha256:"),
        (&keys.pair, "127.0.0.1:1/a/c", false, "a signature is for the name"),
        (&stranger, "127.0.0.1:1/a/b", false, "by no key of the policy"),
    ] {
        let mut files = Files::new();
        let (good, evil) = (image(&mut files, "good"), image(&mut files, "evil"));
        sign(&mut files, pair, &evil, name, if of_other { &good } else { &evil });
        let server = serve(files, &[&evil]).await;
        let said = tried(&server, keys.policy()).await.unwrap_err();
        assert!(said.contains(why), "{said}");
    }
    let mut files = Files::new();
    let one = image(&mut files, "one");
    let server = serve(files, &[&one]).await;
    let said = tried(&server, keys.policy()).await.unwrap_err();
    assert!(said.contains("it has no signature") && said.contains(".sig"), "{said}");
    // Nor is one that is here already good again because of that.
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    pulled(&store, &server, Policy::default()).await.unwrap();
    assert!(pulled(&store, &server, keys.policy()).await.is_err());
}

/// A tag that moves once it was looked at gives the image that was looked at.
#[tokio::test]
async fn a_tag_that_moves_changes_nothing() {
    let keys = Keys::new();
    let mut files = Files::new();
    let (good, evil) = (image(&mut files, "good"), image(&mut files, "evil"));
    sign(&mut files, &keys.pair, &good, "127.0.0.1:1/a/b", &good);
    let server = serve(files, &[&good, &evil]).await;
    assert_eq!(tried(&server, keys.policy()).await, Ok(good));
    assert!(tried(&server, keys.policy()).await.unwrap_err().contains("no signature"));
}
