//! `cp`: Docker's rules, both directions, running or not; and containers that try to have it copy somewhere else.

mod hostile;
mod places;
mod rules;

use std::fs;

use integration::env::Env;
use integration::runner::Test;

pub(crate) const TESTS: &[&[Test]] = &[rules::TESTS, places::TESTS, hostile::TESTS];

struct Two {
    t: Env,
}

/// A container that runs and one that does not, with the same files.
const STATES: [&str; 2] = ["runs", "stopped"];

impl Two {
    fn new() -> Self {
        let t = Env::new();
        t.rctr(["run", "-d", "--network", "none", "--name", "runs", "busybox", "sleep", "1000"]).ok();
        t.rctr(["create", "--name", "stopped", "busybox", "sleep", "1000"]).ok();
        Self { t }
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path = self.t.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, content).expect("a file");
        path.display().to_string()
    }

    fn path(&self, name: &str) -> String {
        self.t.path(name).display().to_string()
    }

    /// What is in a folder of the container, as `find` shows it: read without the container's help.
    fn tree(&self, of: &str, path: &str) -> String {
        let out = self.t.path("look");
        let _ = fs::remove_dir_all(&out);
        fs::create_dir(&out).expect("a folder");
        self.t.rctr(["cp", &format!("{of}:{path}/."), &out.display().to_string()]).ok();
        listing(&out)
    }

    fn end(self) {
        self.t.rctr(["rm", "-f", "runs", "stopped"]).ok();
        self.t.nothing_left();
    }
}

fn listing(folder: &std::path::Path) -> String {
    let mut all = integration::leaks::files(folder, &|_| false);
    all.sort();
    all.join(" ")
}
