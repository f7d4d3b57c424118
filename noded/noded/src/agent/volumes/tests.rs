use api::kinds::pod::volume::HostPathVolumeSource;
use serde_json::json;

use super::files::{Files, add};
use super::written::written;
use super::*;

fn files(pairs: &[(&str, &str)]) -> Files {
    let mut files = Files::new();
    for (path, value) in pairs {
        add(&mut files, path, 0o644, value.as_bytes().to_vec()).unwrap();
    }
    files
}

#[test]
fn files_change_in_one_step() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v");
    written(&path, &files(&[("a", "1"), ("b/c", "2")]), None).unwrap();
    let first = fs::read_link(path.join("..data")).unwrap();
    assert_eq!(fs::read_to_string(path.join("b/c")).unwrap(), "2");
    written(&path, &files(&[("a", "1"), ("b/c", "2")]), None).unwrap();
    assert_eq!(fs::read_link(path.join("..data")).unwrap(), first, "what is right is left alone");
    written(&path, &files(&[("a", "3")]), None).unwrap();
    assert_eq!(fs::read_to_string(path.join("a")).unwrap(), "3");
    assert!(!path.join("b").exists() && !path.join(first).exists());
}

#[test]
fn paths_lead_down() {
    for path in ["", "..", "../a", "a/../../b", "/a", "..data", "a\0"] {
        assert!(add(&mut Files::new(), path, 0o644, Vec::new()).is_err(), "{path:?}");
    }
    let path = |path: &str| HostPathVolumeSource { path: path.to_owned(), kind: String::new() };
    assert!(host_path(&path("/tmp/../etc")).is_err() && host_path(&path("tmp")).is_err() && host_path(&path("/")).is_ok());
    let wrong = HostPathVolumeSource { path: "/".to_owned(), kind: "File".to_owned() };
    assert!(host_path(&wrong).unwrap_err().to_string().contains("it is no File"));
}

/// What a program reads is the newest token, whole: the one before is good for a while longer (see `fetch::tokens`).
#[test]
fn a_renewed_token_takes_the_place_of_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let place =
        Place { memory: folder.path().join("memory"), disk: folder.path().join("disk"), ..crate::agent::wanted::tests::place() };
    let source = |audience: &str, path: &str| json!({ "serviceAccountToken": { "audience": audience, "path": path } });
    let volume = json!({ "name": "token", "projected": { "sources": [source("", "token"), source("vault", "vault/token")] } });
    let pod: Pod = serde_json::from_value(json!({ "metadata": { "uid": "u" }, "spec": { "volumes": [volume] } })).unwrap();
    assert!(may_change(&pod));
    let sources = Sources::default();
    let made = |own: &str, vault: &str| {
        let tokens = [(String::new(), own.to_owned()), ("vault".to_owned(), vault.to_owned())].into();
        make(&Given { pod: &pod, place: &place, sources: &sources, ips: &[], tokens: &tokens, uid: "u" }).unwrap();
        let path = place.memory.join("u/token");
        ["token", "vault/token"].map(|name| fs::read_to_string(path.join(name)).unwrap())
    };
    assert_eq!(made("one", "a"), ["one", "a"]);
    let open = fs::File::open(place.memory.join("u/token/token")).unwrap();
    assert_eq!(made("two", "a"), ["two", "a"]);
    assert_eq!(io::read_to_string(open).unwrap(), "one", "who reads the old one reads it to its end");
}
