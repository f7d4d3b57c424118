//! Files and lookups; whole pulls are in `registry::tests::policy`.

use std::path::{Path, PathBuf};

use rcgen::SigningKey;

use super::*;

fn read(text: &str) -> Result<Policy> {
    file::parse(text, Path::new("/etc/policy.json"))
}

fn why(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

fn asked(policy: &Policy, name: &str) -> String {
    let reference: Reference = name.parse().unwrap();
    match policy.admits("docker", &of_registry(&reference), name) {
        Ok(signed) => format!("{} keys", signed.len()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_most_specific_scope_counts() {
    let policy = read(
        r#"{"default": [{"type": "reject"}], "transports": {"docker": {
            "docker.io/library/busybox:1": [{"type": "reject"}],
            "docker.io/library": [{"type": "insecureAcceptAnything"}],
            "a.example:5000/ns": [{"type": "reject"}],
            "a.example:5000": [{"type": "insecureAcceptAnything"}],
            "*.example": [{"type": "insecureAcceptAnything"}],
            "*.bad.example": [{"type": "reject"}]
        }}}"#,
    )
    .unwrap();
    for (name, scope) in [
        ("busybox:1", Some("scope docker.io/library/busybox:1 of")),
        ("busybox:2", None),
        ("other/busybox:2", Some("(the default)")),
        ("a.example:5000/x", None),
        ("a.example:5000/nsx/y", None),
        ("a.example:5000/ns/a/b", Some("scope a.example:5000/ns of")),
        ("b.example/x", None),
        ("b.example:99/x", None),
        ("c.bad.example/x", Some("scope *.bad.example of")),
        ("example/x", Some("(the default)")),
        ("notexample.com/x", Some("(the default)")),
    ] {
        let said = asked(&policy, name);
        match scope {
            None => assert_eq!(said, "0 keys", "{name}"),
            Some(scope) => assert!(said.contains(scope) && said.contains("/etc/policy.json"), "{name}: {said}"),
        }
    }
    // A digest is not its tag.
    let digest = format!("busybox@sha256:{}", "0".repeat(64));
    assert_eq!(asked(&policy, &digest), "0 keys");
    let policy = read(r#"{"default": [{"type": "insecureAcceptAnything"}], "transports": {"docker": {"": [{"type": "reject"}]}}}"#);
    assert!(asked(&policy.unwrap(), "x").contains("all of transport docker"));
}

#[test]
fn paths_have_folders_above_them() {
    assert_eq!(of_path(Path::new("/a/b.tar")), ["/a/b.tar", "/a"]);
    assert!(of_path(Path::new("/")).is_empty());
}

#[test]
fn what_is_not_understood_is_no_policy() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(asked(&Policy::load(&[folder.path().join("none")]).unwrap(), "x"), "0 keys");
    assert!(Policy::load(&[folder.path().to_owned()]).is_err(), "a folder is no policy");
    for (text, said) in [
        ("", "line 1"),
        ("{\n\"default\": [{\"type\": \"reject\"}],\n\"default\": [{\"type\": \"insecureAcceptAnything\"}]}", "line 3: duplicate"),
        ("{\n\n\"transports\": {}}", "missing field `default`"),
        (r#"{"default": []}"#, "without requirements"),
        ("{\"default\": [\n{\"type\": \"accept\"}]}", "line 2: unknown variant"),
        (r#"{"default": [{"type": "reject", "keyPath": "/k"}]}"#, "no other keys"),
        (r#"{"default": [{"type": "reject"}], "extra": 1}"#, "unknown field"),
        (
            r#"{"default": [{"type": "reject"}], "transports": {"docker": {"a": [{"type": "reject"}], "a": [{"type": "reject"}]}}}"#,
            "twice",
        ),
        (r#"{"default": [{"type": "sigstoreSigned"}]}"#, "needs one of keyPath"),
        (r#"{"default": [{"type": "sigstoreSigned", "keyPaths": []}]}"#, "without keys"),
        (r#"{"default": [{"type": "sigstoreSigned", "keyData": "?"}]}"#, "base64"),
        (
            r#"{"default": [{"type": "sigstoreSigned", "keyPath": "/k", "signedIdentity": {"type": "matchAnything"}}]}"#,
            "unknown variant",
        ),
        (
            r#"{"default": [{"type": "sigstoreSigned", "keyPath": "/k", "signedIdentity": {"type": "matchRepository", "x": 1}}]}"#,
            "unknown field",
        ),
        (
            r#"{"default": [{"type": "sigstoreSigned", "keyPath": "/k", "signedIdentity": {"type": "exactRepository", "dockerRepository": "a.b/c:1"}}]}"#,
            "without a tag",
        ),
    ] {
        let why = why(text);
        assert!(why.starts_with("/etc/policy.json: line ") && why.contains(said), "{text}: {why}");
    }
}

#[test]
fn an_archive_of_docker_has_no_place() {
    let why = why(r#"{"default": [{"type": "reject"}], "transports": {"docker-archive": {"/x": [{"type": "reject"}]}}}"#);
    assert!(why.starts_with("/etc/policy.json: ") && why.contains("no scope but") && why.contains("/x"), "{why}");
}

#[test]
fn what_cannot_be_checked_is_refused() {
    for (more, said) in [
        (r#""signedBy", "keyType": "GPGKeys", "keyPath": "/k""#, "GPG"),
        (r#""signedBaseLayer", "baseLayerIdentity": {}"#, "base layer"),
        (r#""sigstoreSigned", "fulcio": {}"#, "Fulcio"),
        (r#""sigstoreSigned", "pki": {}"#, "certificate"),
        (r#""sigstoreSigned", "keyPath": "/k", "rekorPublicKeyPath": "/r""#, "Rekor"),
    ] {
        let policy = read(&format!(r#"{{"default": [{{"type": "insecureAcceptAnything"}}, {{"type": {more}}}]}}"#)).unwrap();
        let said_so = asked(&policy, "x");
        assert!(said_so.contains(said) && said_so.contains("not supported"), "{said_so}");
    }
}

#[test]
fn names_of_signatures() {
    let identity = |text: &str| serde_json::from_str::<Identity>(text).unwrap();
    let fits = |identity: &Identity, asked: &str, signed: &str| identity.fits(&asked.parse().unwrap(), signed);
    let digest = format!("a.b/c@sha256:{}", "0".repeat(64));
    let usual = Identity::default();
    assert!(fits(&usual, "a.b/c:1", "a.b/c:1") && fits(&usual, &digest, "a.b/c:9"));
    assert!(!fits(&usual, "a.b/c:1", "a.b/c:2") && !fits(&usual, "a.b/c:1", "a.b/c") && !fits(&usual, "a.b/c:latest", "a.b/c"));
    assert!(!fits(&usual, &digest, "a.b/d:9") && !fits(&usual, &digest, &digest) && !fits(&usual, "a.b/c:1", ""));
    let exact = identity(r#"{"type": "matchExact"}"#);
    assert!(fits(&exact, "a.b/c:1", "a.b/c:1") && !fits(&exact, &digest, "a.b/c:1"));
    let repository = identity(r#"{"type": "matchRepository"}"#);
    assert!(
        fits(&repository, "a.b/c:1", "a.b/c")
            && !fits(&repository, "a.b/c:1", "a.b/c/d")
            && fits(&repository, "c", "docker.io/library/c")
    );
    let one = identity(r#"{"type": "exactRepository", "dockerRepository": "a.b/c"}"#);
    assert!(fits(&one, "mirror.x/c:1", "a.b/c") && !fits(&one, "a.b/c:1", "mirror.x/c"));
    let one = identity(r#"{"type": "exactReference", "dockerReference": "a.b/c:1"}"#);
    assert!(fits(&one, "mirror.x/c:7", "a.b/c:1") && !fits(&one, "a.b/c:1", "a.b/c:2"));
    let moved = identity(r#"{"type": "remapIdentity", "prefix": "mirror.x/m", "signedPrefix": "a.b"}"#);
    assert!(fits(&moved, "mirror.x/m/c:1", "a.b/c:1") && !fits(&moved, "mirror.x/mm/c:1", "a.b/c:1"));
}

#[test]
fn signatures_count_by_key_digest_and_name() {
    use base64::Engine;
    let key = rcgen::KeyPair::generate().unwrap();
    let (digest, other) = (crate::Digest::sha256(b"1"), crate::Digest::sha256(b"2"));
    let data = |key: &rcgen::KeyPair| KeySource::Data(key.public_key_pem().into_bytes());
    let signed = Signed { keys: vec![data(&key)], identity: identity::Identity::MatchRepository {} };
    let payload = |name: &str, digest: &crate::Digest, more: &str| {
        format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"{name}"}},"image":{{"docker-manifest-digest":"{digest}"}},
            "type":"cosign container image signature"{more}}},"optional":null}}"#
        )
    };
    let found = |key: &rcgen::KeyPair, payload: &str| attached::Found {
        payload: payload.as_bytes().to_vec(),
        signature: base64::engine::general_purpose::STANDARD.encode(key.sign(payload.as_bytes()).unwrap()),
    };
    let says = |signed: &Signed, all: &[attached::Found]| {
        signed
            .holds(&"a.b/c:1".parse().unwrap(), all.iter().map(|one| (&digest, one)))
            .map_or_else(|why| why, |()| "fine".to_owned())
    };
    let good = found(&key, &payload("a.b/c", &digest, ""));
    let mut altered = found(&key, &payload("a.b/c", &other, ""));
    altered.payload = good.payload.clone();
    let stranger = rcgen::KeyPair::generate().unwrap();
    let bad = [
        (found(&stranger, &payload("a.b/c", &digest, "")), "no key of the policy"),
        (altered, "no key of the policy"),
        (attached::Found { payload: good.payload.clone(), signature: "?".to_owned() }, "no key of the policy"),
        (found(&key, &payload("a.b/c", &other, "")), "a signature is of sha256:"),
        (found(&key, &payload("a.b/d", &digest, "")), "for the name \"a.b/d\""),
        (found(&key, &payload("a.b/c", &digest, r#","more":1"#)), "no statement"),
        (found(&key, &payload("a.b/c", &digest, "").replace("cosign", "other")), "is a \"other"),
        (found(&key, "{}"), "no statement"),
    ];
    for (bad, why) in bad {
        let said = says(&signed, std::slice::from_ref(&bad));
        assert!(said.contains(why), "{said}");
        // Others do no harm.
        let both = [bad, found(&key, &payload("a.b/c", &digest, ""))];
        assert_eq!(says(&signed, &both), "fine");
    }
    assert_eq!(says(&signed, &[]), "it has no signature");
    let two = Signed { keys: vec![data(&stranger), data(&key)], ..signed.clone() };
    assert_eq!(says(&two, std::slice::from_ref(&good)), "fine");
    let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    for (source, why) in [
        (data(&ed25519), "P-256"),
        (KeySource::Data(b"x".to_vec()), "no PEM file"),
        (KeySource::File(PathBuf::from("/no/such/key")), "/no/such/key"),
    ] {
        let said = says(&Signed { keys: vec![data(&key), source], ..signed.clone() }, std::slice::from_ref(&good));
        assert!(said.contains(why), "{said}");
    }
}
