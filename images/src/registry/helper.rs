//! Programs that keep credentials: `docker-credential-NAME get|store|erase`. Only what the user's own configuration names is started.

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
    let Some(answer) = call(name, "get", server).await? else { return Ok(None) };
    let not_json = || failed(name, "its answer is not JSON".to_owned(), false);
    let answer: Answer = serde_json::from_slice(&answer).map_err(|_| not_json())?;
    Ok((!answer.secret.is_empty()).then(|| Login::new(answer.username, answer.secret)))
}

/// Gives a login to the helper `name`.
pub(super) async fn store(name: &str, server: &str, user: &str, secret: &str) -> Result<(), Failure> {
    let login = serde_json::json!({"ServerURL": server, "Username": user, "Secret": secret});
    call(name, "store", &login.to_string()).await.map(drop)
}

/// Takes a login from the helper `name`. Answers whether it had one.
pub(super) async fn erase(name: &str, server: &str) -> Result<bool, Failure> {
    // Most helpers are silent about what they did not have.
    let known = get(name, server).await?.is_some();
    Ok(call(name, "erase", server).await?.is_some() && known)
}

/// What the helper answers; `None` if it has no such login.
async fn call(name: &str, verb: &str, input: &str) -> Result<Option<Vec<u8>>, Failure> {
    if !is_program(name) {
        return Err(failed(name, "is no name of a program".to_owned(), false));
    }
    let output = match tokio::time::timeout(PATIENCE, run(&program(name), verb, input)).await {
        Err(_) => return Err(failed(name, format!("no answer for {} s", PATIENCE.as_secs()), false)),
        Ok(Err(error)) => return Err(failed(name, error.to_string(), error.kind() == ErrorKind::NotFound)),
        Ok(Ok(output)) => output,
    };
    if output.status.success() {
        return Ok(Some(output.stdout));
    }
    let said = super::http::message(&output.stdout);
    // The protocol has no status for "not there", only this text.
    if said.contains("credentials not found") {
        return Ok(None);
    }
    Err(failed(name, if said.is_empty() { output.status.to_string() } else { said }, false))
}

fn program(name: &str) -> String {
    format!("docker-credential-{name}")
}

fn failed(name: &str, problem: String, missing: bool) -> Failure {
    Failure::Helper { program: program(name), problem, missing }
}

async fn run(program: &str, verb: &str, text: &str) -> io::Result<Output> {
    let mut command = Command::new(program);
    command.arg(verb).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that reads nothing breaks the pipe; its status tells more.
        let _ = input.write_all(text.as_bytes()).await;
    }
    child.wait_with_output().await
}
