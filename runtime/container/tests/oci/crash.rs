//! A runtime that is killed on its way.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::fixture::{Bundle, eventually};
use crate::{Check, Of};

pub const CHECKS: &[Check] = &[
    ("a_killed_create_can_be_deleted", Of::Ours, a_killed_create_can_be_deleted),
    ("a_killed_start_is_either_or", Of::Ours, a_killed_start_is_either_or),
    ("many_at_once", Of::Every, many_at_once),
];

/// Starts `verb` and kills it after `wait`; how long it took if it was faster.
pub fn killed(bundle: &Bundle, verb: &str, wait: Duration) -> Option<Duration> {
    let begin = Instant::now();
    let mut child = bundle.command(&[verb, "ID"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while begin.elapsed() < wait {
        if child.try_wait().unwrap().is_some() {
            return Some(begin.elapsed());
        }
        std::thread::yield_now();
    }
    let _ = child.kill();
    child.wait().unwrap();
    None
}

fn a_killed_create_can_be_deleted() {
    let bundle = Bundle::new(&["wait"]);
    let mut wait = Duration::ZERO;
    let mut states = std::collections::BTreeMap::new();
    loop {
        let done = killed(&bundle, "create", wait);
        let said = bundle.call(&["state", "ID"]);
        let status = match said.code {
            Some(0) => bundle.status(),
            _ => {
                assert!(said.err.contains("does not exist"), "{said:?}");
                "none".to_owned()
            }
        };
        // Its init may still be on its way to notice that nobody waits for it: until then it is being made, and delete waits.
        assert!(["none", "creating", "stopped", "created"].contains(&status.as_str()), "{status} after {wait:?}");
        if status == "created" {
            // Whatever is said to be created can be started, or its end is noticed at once.
            let started = bundle.call(&["start", "ID"]);
            assert!(started.code == Some(0) || bundle.status() == "stopped", "{started:?}");
        }
        *states.entry(status).or_insert(0) += 1;
        bundle.ok(&["delete", "--force", "ID"]);
        eventually("nothing left", || bundle.left().is_empty());
        if done.is_some() {
            break;
        }
        wait += Duration::from_micros(150);
    }
    println!("states found: {states:?}");
    assert!(states.values().sum::<i32>() > 5);
}

fn a_killed_start_is_either_or() {
    for step in 0..12 {
        let bundle = Bundle::new(&["wait"]);
        bundle.ok(&["create", "ID"]);
        killed(&bundle, "start", Duration::from_micros(100 * step));
        // Init may be on its way.
        std::thread::sleep(Duration::from_millis(20));
        match bundle.status().as_str() {
            "running" => {}
            "created" => drop(bundle.ok(&["start", "ID"])),
            other => panic!("{other}"),
        }
        bundle.ok(&["delete", "--force", "ID"]);
    }
}

fn many_at_once() {
    let bundles: Vec<Bundle> = (0..20).map(|_| Bundle::new(&["exit", "0"])).collect();
    let start = |bundle: &Bundle| -> std::process::Child {
        let mut command: Command = bundle.command(&["run", "ID"]);
        command.spawn().unwrap()
    };
    let children: Vec<_> = bundles.iter().map(start).collect();
    for (mut child, bundle) in children.into_iter().zip(&bundles) {
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert_eq!(bundle.left(), Vec::<PathBuf>::new());
    }
}
