//! State of very many containers: nothing hangs on their number, and nothing of them is lost.

use std::fs;
use std::os::unix::fs::symlink;

use crate::host::Host;

/// How many: ten thousand take minutes, and `MANY=10000` has them.
fn many() -> usize {
    std::env::var("MANY").ok().and_then(|many| many.parse().ok()).unwrap_or(1000)
}

/// So many containers, each as `create` leaves it: `c0`, `c1` …
fn fill(host: &Host, count: usize) {
    host.rctr(&["create", "--name", "c0", "--network", "none", "--label", "many=yes", "busybox", "true"]).ok();
    let first = host.container("c0");
    let id = first.file_name().unwrap().to_str().unwrap().to_owned();
    let text = fs::read_to_string(first.join("config.json")).unwrap();
    for number in 1..count {
        let other = format!("{number:064x}");
        let folder = first.with_file_name(&other);
        fs::create_dir(&folder).unwrap();
        for below in fs::read_dir(&first).unwrap().flatten().filter(|entry| entry.file_type().unwrap().is_dir()) {
            fs::create_dir(folder.join(below.file_name())).unwrap();
        }
        fs::write(folder.join("config.json"), text.replace(&id, &other).replace("\"c0\"", &format!("\"c{number}\""))).unwrap();
        symlink(format!("../containers/{other}"), host.root().join(format!("names/c{number}"))).unwrap();
    }
}

#[test]
fn very_many_are_listed_found_and_removed() {
    let Some(host) = Host::new() else { return };
    let count = many();
    fill(&host, count);
    let names = host.rctr(&["ps", "-a", "--format", "{{.Names}}"]).ok();
    assert_eq!(names.lines().count(), count);
    assert_eq!(host.rctr(&["ps", "-a", "--filter", "name=^c777$", "--format", "{{.Names}}"]).ok(), "c777\n");
    assert_eq!(host.rctr(&["inspect", "-f", "{{.State.Status}}", &format!("c{}", count - 1)]).ok(), "created\n");
    let ambiguous = host.rctr(&["inspect", &"0".repeat(61)]);
    assert!(ambiguous.code != 0 && ambiguous.err.contains("beginning"), "{ambiguous:?}");
    // They are in nobody's way.
    assert_eq!(host.run(&["--rm", "--name", "own", "busybox", "echo", "ran"]).ok(), "ran\n");
    assert_eq!(host.rctr(&["start", "-a", "c500"]).ok(), "");
    assert_eq!(host.rctr(&["rm", "c7"]).ok(), "c7\n");
    let pruned = host.rctr(&["container", "prune", "-f", "--filter", "label=many=yes"]).ok();
    assert_eq!(pruned.lines().filter(|line| line.len() == 64).count(), count - 1, "{}", &pruned[..200]);
    assert_eq!(host.rctr(&["ps", "-aq"]).ok(), "");
    assert!(fs::read_dir(host.root().join("names")).unwrap().next().is_none());
    host.nothing_left();
}
