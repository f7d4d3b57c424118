//! What is in the store: lists with filters, what goes and what stays, how much it is.

use std::fs::{self, File, FileTimes};
use std::time::{Duration, SystemTime};

use super::{Host, tar};

impl Host {
    /// An image of one layer, with a label.
    fn import(&self, name: &str, label: &str) {
        let file = self.path("root.tar");
        fs::write(&file, tar(&[("name", name.as_bytes()), ("large", &[b'y'; 3000])])).unwrap();
        self.out(&["import", "-q", "-c", &format!("LABEL {label}"), file.to_str().unwrap(), name]);
    }

    /// As if an image had been used so long ago.
    fn used(&self, path: &str, days: u64) {
        let time = SystemTime::now() - Duration::from_secs(days * 24 * 60 * 60);
        let id = self.out(&["images", "--format", "{{.Digest}}", &path.replace("/:", ":")]);
        for file in [format!("docker.io/library/{path}"), format!("@/{}", id.trim())] {
            let file = File::open(self.path("root/images/refs").join(file)).unwrap();
            file.set_times(FileTimes::new().set_modified(time)).unwrap();
        }
    }

    fn names(&self, arguments: &[&str]) -> Vec<String> {
        let out = self.out(&[&["images", "--format", "{{.Repository}}:{{.Tag}}"], arguments].concat());
        let mut names: Vec<_> = out.lines().map(str::to_owned).collect();
        names.sort();
        names
    }
}

#[test]
fn lists_have_dockers_filters() {
    let Some(host) = Host::new() else { return };
    host.load("a/b:1");
    host.import("x:1", "kind=one");
    host.import("y:1", "kind=two");
    host.out(&["tag", "a/b:1", "a/c:2"]);
    assert_eq!(host.names(&["--filter", "label=kind"]), ["x:1", "y:1"]);
    assert_eq!(host.names(&["--filter", "label=kind=two"]), ["y:1"]);
    assert_eq!(host.names(&["--filter", "reference=a/*"]), ["a/b:1", "a/c:2"]);
    assert_eq!(host.names(&["--filter", "reference=a/*:2", "--filter", "reference=[xz]"]), ["a/c:2", "x:1"]);
    assert_eq!(host.names(&["--filter", "before=x:1"]), ["a/b:1", "a/c:2"]);
    assert_eq!(host.names(&["--filter", "since=a/b:1", "-a"]), ["x:1", "y:1"]);
    assert_eq!(host.names(&["--filter", "until=2024-06-01"]), ["a/b:1", "a/c:2"]);
    assert_eq!(host.names(&["a/c"]), ["a/c:2"]);
    assert_eq!(host.names(&["a/c:1"]), Vec::<String>::new());
    assert_eq!(host.names(&["--filter", "dangling=true"]), Vec::<String>::new());
    host.import("y:1", "kind=three");
    assert_eq!(host.names(&["--filter", "dangling=true"]), ["<none>:<none>"]);
    assert_eq!(host.names(&["--filter", "dangling=false"]).len(), 4);
    let table = host.out(&["images", "--digests", "x"]);
    assert_eq!(
        table.split_whitespace().take(7).collect::<Vec<_>>(),
        ["REPOSITORY", "TAG", "DIGEST", "IMAGE", "ID", "CREATED", "SIZE"]
    );
    assert!(table.contains(" sha256:"), "{table}");
    assert!(host.rctr(&["images", "--filter", "size=1"]).err.contains("there is no filter \"size\""));
    assert!(host.rctr(&["images", "--filter", "before=none"]).err.contains("no such image: none"));
    host.used("x/:1", 3);
    assert_eq!(host.out(&["images", "--format", "{{.LastUsed}}", "x"]), "3 days ago\n");
}

#[test]
fn prune_keeps_what_was_used_last() {
    let Some(host) = Host::new() else { return };
    for (days, name) in [(1, "a"), (2, "b"), (3, "c"), (4, "d")] {
        host.import(&format!("{name}:1"), &format!("days={days}"));
        host.used(&format!("{name}/:1"), days);
    }
    host.out(&["create", "--name", "app", "d:1", "/x"]);
    let all = ["image", "prune", "-a", "-f"];
    let would = host.out(&[&all[..], &["--keep", "1", "--dry-run"]].concat());
    let gone: Vec<_> = would.lines().filter_map(|line| line.strip_prefix("would untag: ")).collect();
    assert_eq!(gone, ["b:1", "c:1"], "{would}");
    assert!(would.ends_with("Total reclaimable space: 6.01kB\n"), "{would}");
    assert_eq!(host.names(&[]).len(), 4);
    host.out(&[&all[..], &["--filter", "until=2020-01-01"]].concat());
    host.out(&[&all[..], &["--filter", "label=days=5"]].concat());
    host.out(&["image", "prune", "-f"]);
    assert_eq!(host.names(&[]).len(), 4);
    host.out(&[&all[..], &["--filter", "label!=days=1", "--filter", "label!=days=2"]].concat());
    assert_eq!(host.names(&[]), ["a:1", "b:1", "d:1"]);
    host.out(&[&all[..], &["--keep", "4k"]].concat());
    assert_eq!(host.names(&[]), ["a:1", "d:1"]);
    host.out(&["system", "prune", "-f", "--filter", "label=days=1"]);
    host.out(&["system", "prune", "-f"]);
    assert_eq!(host.out(&["ps", "-aq"]), "");
    assert_eq!(host.names(&[]), ["a:1", "d:1"]);
    let pruned = host.out(&["system", "prune", "-a", "-f"]);
    assert!(
        pruned.starts_with("Deleted Images:\nuntagged: d:1\n")
            && pruned.contains("\nuntagged: a:1\n")
            && pruned.ends_with("Total reclaimed space: 6.01kB\n"),
        "{pruned}"
    );
    assert!(host.rctr(&["system", "prune"]).err.contains("--force"));
}

#[test]
fn space_is_added_up() {
    let Some(host) = Host::new() else { return };
    host.load("a:1");
    host.import("b:1", "kind=one");
    host.out(&["create", "--name", "app", "b:1", "/x"]);
    let rows = host.out(&["system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}} {{.Size}} {{.Reclaimable}}"]);
    let expected = ["Images 2 1 5.01kB 2kB (40%)", "Containers 1 0 0B 0B", "Local Volumes 0 0 0B 0B", "Build Cache 0 0 0B 0B"];
    assert_eq!(rows.lines().collect::<Vec<_>>(), expected, "{rows}");
    let table = host.out(&["system", "df"]);
    assert_eq!(
        table.lines().next().unwrap().split_whitespace().collect::<Vec<_>>(),
        ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]
    );
    let all = host.out(&["system", "df", "-v"]);
    for part in ["Images space usage:\n\nREPOSITORY", "SHARED SIZE", "Containers space usage:\n\nCONTAINER ID", "app"] {
        assert!(all.contains(part), "{part}: {all}");
    }
    let json: serde_json::Value = serde_json::from_str(&host.out(&["system", "df", "-v", "--format", "json"])).unwrap();
    assert_eq!(json["Images"].as_array().unwrap().len(), 2);
}

#[test]
fn damage_is_found_and_repaired() {
    let Some(host) = Host::new() else { return };
    host.load("a:1");
    host.load("a:2");
    assert_eq!(host.out(&["image", "check"]), "a:1 a:2: whole, 2 layers\n1 image: all whole\n");
    let layers = host.path("root/images/layers/sha256");
    let kept = fs::read_dir(layers).unwrap().map(|entry| entry.unwrap().path().join("blob")).find(|path| path.exists()).unwrap();
    fs::write(&kept, "other").unwrap();
    let done = host.rctr(&["image", "check", "a:2"]);
    assert!(done.code == Some(1) && done.out.contains("a:2: DAMAGED, 2 layers\n  layer sha256:"), "{}", done.out);
    assert!(done.out.contains(" blob: content\n") && done.err.contains("--repair"), "{}", done.out);
    assert!(host.out(&["image", "check", "--repair"]).contains("dropped: pull the image again\n"));
    assert!(!kept.exists());
    host.load("a:1");
    host.out(&["image", "check"]);
    host.out(&["image", "sync"]);
    host.out(&["image", "sync", "a:1"]);
}
