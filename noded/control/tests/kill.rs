//! A store whose process is killed again and again: nothing that was acknowledged is lost.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use control::store::{Change, EmbeddedStore, Expect, Store};
use serde_json::json;

const FOLDER: &str = "CONTROL_KILL_FOLDER";

/// Not a test of its own: what the other one kills.
#[test]
fn writer() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = EmbeddedStore::open(folder.as_ref()).unwrap();
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nopened {}", store.revision()).unwrap();
    for n in 0u64.. {
        let key = format!("core/pods/d/{}-{n}", std::process::id());
        let change = Change {
            key: key.clone(),
            expect: Expect::Absent,
            object: Some(json!({"metadata": {"name": key}, "pad": "x".repeat(2000)})),
        };
        let entry = runtime.block_on(store.write(change)).unwrap();
        writeln!(out, "done {} {key}", entry.revision).unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    let mut newest = 0;
    for round in 1..=8usize {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writer", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut written = 0;
        for line in lines.map_while(Result::ok) {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["opened", revision] => assert!(revision.parse::<u64>().unwrap() >= newest, "the counter fell back"),
                ["done", revision, key] => {
                    newest = revision.parse().unwrap();
                    acknowledged.push(key.to_string());
                    written += 1;
                }
                _ => {}
            }
            // another moment in each round
            if written == round * 13 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(written >= round * 13);
    }
    let store = EmbeddedStore::open(folder.path()).unwrap();
    let lost: Vec<&String> = acknowledged.iter().filter(|key| store.get(key).is_none()).collect();
    assert!(lost.is_empty(), "{lost:?}");
}
