use std::fs;

use super::*;

fn registries(text: &str) -> Registries {
    let mut registries = Registries::default();
    let (tables, aliases) = parse(text, Path::new("test.conf")).unwrap();
    registries.add(tables);
    registries.aliases = aliases;
    registries
}

/// Where an image is looked for: host/repository, with `!` behind it if insecure.
fn places(text: &str, reference: &str) -> Vec<String> {
    let places = registries(text).places(&reference.parse().unwrap(), Purpose::Pull).unwrap();
    let show = |place: &Place| format!("{}/{}{}", place.registry, place.repository, if place.insecure { "!" } else { "" });
    places.iter().map(show).collect()
}

fn problem(text: &str) -> String {
    parse(text, Path::new("test.conf")).unwrap_err().to_string()
}

#[test]
fn without_a_file() {
    assert_eq!(places("", "busybox"), ["docker.io/library/busybox"]);
    assert_eq!(places("unqualified-search-registries = ['x']", "busybox"), ["docker.io/library/busybox"]);
}

#[test]
fn mirrors_come_first() {
    let text = r#"
        [[registry]]
        prefix = "docker.io"
        location = "docker.io"
        [[registry.mirror]]
        location = "127.0.0.1:5000"
        insecure = true
        [[registry.mirror]]
        location = "mirror.example/hub/"
    "#;
    let expected = ["127.0.0.1:5000/smlinux/nodeinfo!", "mirror.example/hub/smlinux/nodeinfo", "docker.io/smlinux/nodeinfo"];
    assert_eq!(places(text, "smlinux/nodeinfo:v1"), expected);
    assert_eq!(places(text, "quay.io/a/b"), ["quay.io/a/b"]);
}

#[test]
fn the_longest_prefix_counts() {
    let text = r#"
        [[registry]]
        location = "docker.io"
        [[registry.mirror]]
        location = "general.example"
        [[registry]]
        prefix = "docker.io/library"
        location = "special.example/lib"
        [[registry]]
        prefix = "docker.io/library/busybox:old"
        location = "old.example/busybox"
    "#;
    assert_eq!(places(text, "busybox"), ["special.example/lib/busybox"]);
    assert_eq!(places(text, "busybox:old"), ["old.example/busybox"]);
    assert_eq!(places(text, "a/b"), ["general.example/a/b", "docker.io/a/b"]);
    assert_eq!(places(text, "librarything/b"), ["general.example/librarything/b", "docker.io/librarything/b"]);
}

#[test]
fn whole_domains() {
    let text = r#"
        [[registry]]
        prefix = "*.example.com"
        location = "cache.local:5000/example"
        [[registry]]
        prefix = "*.plain.test"
        insecure = true
    "#;
    assert_eq!(places(text, "a.b.example.com/x/y"), ["cache.local:5000/example/x/y"]);
    assert_eq!(places(text, "example.com/x"), ["example.com/x"]);
    assert_eq!(places(text, "evil-example.com/x"), ["evil-example.com/x"]);
    assert_eq!(places(text, "a.example.com.evil/x"), ["a.example.com.evil/x"]);
    assert_eq!(places(text, "host/a.example.com"), ["docker.io/host/a.example.com"]);
    assert_eq!(places(text, "r.plain.test:5000/x"), ["r.plain.test:5000/x!"]);
}

#[test]
fn the_hub_as_a_location() {
    let text = "[[registry]]\nprefix = 'example.com/official'\nlocation = 'docker.io'";
    assert_eq!(places(text, "example.com/official/busybox"), ["docker.io/library/busybox"]);
}

#[test]
fn when_mirrors_are_asked() {
    let text = r#"
        [[registry]]
        location = "a.example"
        mirror = [{ location = "m1", pull-from-mirror = "digest-only" }, { location = "m2", pull-from-mirror = "tag-only" }, { location = "m3" }]
        [[registry]]
        location = "b.example"
        mirror-by-digest-only = true
        mirror = [{ location = "m1" }]
    "#;
    let pulls = |name: &str| {
        let places = registries(text).places(&name.parse().unwrap(), Purpose::Pull).unwrap();
        places.iter().map(|place| place.pull).collect::<Vec<_>>()
    };
    assert_eq!(pulls("a.example/x"), [PullFrom::DigestOnly, PullFrom::TagOnly, PullFrom::All, PullFrom::All]);
    assert_eq!(pulls("b.example/x"), [PullFrom::DigestOnly, PullFrom::All]);
}

#[test]
fn blocked() {
    let blocked = registries("[[registry]]\nlocation = 'bad.example'\nblocked = true");
    let error = blocked.places(&"bad.example/x".parse().unwrap(), Purpose::Pull).unwrap_err();
    assert_eq!(error.to_string(), "registry bad.example is blocked in test.conf");
    assert!(blocked.places(&"good.example/x".parse().unwrap(), Purpose::Pull).is_ok());
}

#[test]
fn what_is_wrong() {
    assert_eq!(problem("\n\n[[registry"), "line 3: unclosed array table, expected `]]`");
    assert!(problem("[[registry]]\ninsecure = 'yes'").starts_with("line 2: invalid type"));
    assert!(problem("[registries.search]\nregistries = ['x']").starts_with("version 1"));
    assert!(problem("[[registry]]\ninsecure = true").contains("neither prefix nor location"));
    assert!(problem("[[registry]]\nprefix = '*example.com'").contains("*.example.com"));
    assert!(problem("[[registry]]\nlocation = 'a'\nmirror = [{ location = 'http://m' }]").contains("without http://"));
    assert!(
        problem("[[registry]]\nlocation = 'a'\nmirror = [{ location = 'm', pull-from-mirror = 'x' }]").contains("unknown variant")
    );
    let bad = registries("[[registry]]\nprefix = 'a.example'\nlocation = 'b_/c d'");
    let error = super::super::error::chain(&bad.places(&"a.example/x".parse().unwrap(), Purpose::Pull).unwrap_err());
    assert_eq!(error, "test.conf: [[registry]] \"b_/c d/x\": the registry is not a host name");
}

#[test]
fn files_and_drop_ins() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("registries.conf");
    assert!(Registries::load(std::slice::from_ref(&file)).unwrap().tables.is_empty());
    fs::write(&file, "[[registry]]\nlocation = 'a'\n[[registry]]\nlocation = 'b'").unwrap();
    fs::create_dir(folder.path().join("registries.conf.d")).unwrap();
    fs::write(folder.path().join("registries.conf.d/50-b.conf"), "[[registry]]\nlocation = 'b'\nblocked = true").unwrap();
    fs::write(folder.path().join("registries.conf.d/99.txt"), "nonsense").unwrap();
    let registries = Registries::load(std::slice::from_ref(&file)).unwrap();
    let tables: Vec<_> = registries.tables.iter().map(|table| (table.prefix.as_str(), table.blocked)).collect();
    assert_eq!(tables, [("a", false), ("b", true)]);
    fs::write(&file, "[[registry]]\nlocation = 1").unwrap();
    let error = Registries::load(std::slice::from_ref(&file)).unwrap_err();
    assert!(error.to_string().ends_with("registries.conf"), "{error}");
}

#[test]
fn short_names() {
    let known = registries("[aliases]\nubi = 'r.example:5000/u/ubi'\n'a/b' = 'docker.io/c/d'");
    let read = |text: &str| known.reference(text).unwrap().to_string();
    assert_eq!(read("ubi"), "r.example:5000/u/ubi:latest");
    assert_eq!(read("ubi:9"), "r.example:5000/u/ubi:9");
    assert_eq!(read("a/b"), "docker.io/c/d:latest");
    for text in ["ubi/x", "x/ubi", "docker.io/ubi", "localhost:5000/ubi"] {
        assert_eq!(read(text), text.parse::<Reference>().unwrap().to_string());
    }
    assert!(known.reference("UBI").is_err());
    for (long, said) in
        [("r.example/a:1", "without tag"), ("A", "does not stand for"), ("", "does not stand for"), ("b", "without tag")]
    {
        let error = problem(&format!("[aliases]\na = '{long}'"));
        assert!(error.starts_with("[aliases] \"a\": ") && error.contains(said), "{long}: {error}");
    }
}

#[test]
fn without_certificates() {
    let all = registries("[[registry]]\nlocation = 'a.example'\n[[registry.mirror]]\nlocation = 'm.example'").insecure();
    let places = all.places(&"a.example/x".parse().unwrap(), Purpose::Pull).unwrap();
    assert!(places.len() == 2 && places.iter().all(|place| place.insecure), "{places:?}");
}

/// What Docker was told counts last.
#[test]
fn beside_docker() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("daemon.json");
    fs::write(&file, r#"{"registry-mirrors": ["https://m.example"], "insecure-registries": ["a.example"]}"#).unwrap();
    let all = registries("[[registry]]\nlocation = 'a.example'").with_docker(&file).unwrap();
    let names = |name: &str, purpose| {
        let places = all.places(&name.parse().unwrap(), purpose).unwrap();
        places.into_iter().map(|place| (place.registry, place.insecure)).collect::<Vec<_>>()
    };
    assert_eq!(names("busybox", Purpose::Pull), [("m.example".to_owned(), false), ("docker.io".to_owned(), false)]);
    assert_eq!(names("busybox", Purpose::Push), [("docker.io".to_owned(), false)]);
    assert_eq!(names("a.example/x", Purpose::Pull), [("a.example".to_owned(), false)], "the table counts");
}
