//! A client that never stops asking.

use std::fs;
use std::path::PathBuf;

use super::Wires;
use crate::env::{Env, Running};

/// Asks addresses again and again, and counts answers. It runs on a node.
#[derive(Debug)]
pub struct Client {
    running: Option<Running>,
    answers: PathBuf,
}

impl Client {
    /// One that asks `address:port`, ten times a second, each time with a second of patience. On node `number`, where it shares the host's
    /// network.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn ask(env: &Env, wires: &Wires, number: usize, address: &str) -> Client {
        let answers = env.path(&format!("answers-{number}-{address}"));
        let script =
            r#"while sleep 0.1; do if curl -sf -m 1 -o /dev/null "http://$1/"; then echo ok; else echo lost; fi >>"$2"; done"#;
        let mut command = wires.command(env, number, "bash");
        command.args(["-c", script, "client", address]).arg(&answers);
        fs::write(&answers, "").expect("a file");
        Client { running: Some(Running::start(command)), answers }
    }

    /// Answers that came, and answers that were lost.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        let text = fs::read_to_string(&self.answers).unwrap_or_default();
        let of = |word: &str| text.lines().filter(|line| *line == word).count();
        (of("ok"), of("lost"))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill();
        }
    }
}
