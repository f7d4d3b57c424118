use api::kinds::pod::volume::HostPathVolumeSource;

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
