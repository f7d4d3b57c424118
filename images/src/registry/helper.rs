//! Programs that keep credentials: `docker-credential-NAME get`. Only what the user's own configuration names is started.

use std::io::{self, ErrorKind};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::credentials::{Login, is_program};
use super::error::Failure;

/// They may have to ask somebody for a password.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// Asks the helper `name` for the login of `server`; `None` if it has none.
pub(super) async fn get(name: &str, server: &str) -> Result<Option<Login>, Failure> {
    let program = format!("docker-credential-{name}");
    let failed = |problem: String, missing| Failure::Helper { program: program.clone(), problem, missing };
    if !is_program(name) {
        return Err(failed("is no name of a program".to_owned(), false));
    }
    let output = match tokio::time::timeout(PATIENCE, run(&program, server)).await {
        Err(_) => return Err(failed(format!("no answer for {} s", PATIENCE.as_secs()), false)),
        Ok(Err(error)) => return Err(failed(error.to_string(), error.kind() == ErrorKind::NotFound)),
        Ok(Ok(output)) => output,
    };
    let said = super::http::message(&output.stdout);
    if !output.status.success() {
        // The protocol has no status for "not there", only this text.
        if said.contains("credentials not found") {
            return Ok(None);
        }
        return Err(failed(if said.is_empty() { output.status.to_string() } else { said }, false));
    }
    let answer: Answer = serde_json::from_slice(&output.stdout).map_err(|_| failed("its answer is not JSON".to_owned(), false))?;
    Ok((!answer.secret.is_empty()).then(|| Login::new(answer.username, answer.secret)))
}

async fn run(program: &str, server: &str) -> io::Result<Output> {
    let mut command = Command::new(program);
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that reads nothing breaks the pipe; its status tells more.
        let _ = input.write_all(server.as_bytes()).await;
    }
    child.wait_with_output().await
}
