//! `rctr wait`.

use anyhow::Result;
use engine::Condition;

use crate::context::Context;
use crate::exit;

/// Wait until containers have ended, or are as wished, and print their exit codes
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// not-running (also stopped, exited), next-exit, removed, created, running, paused, healthy or unhealthy
    #[arg(long, value_name = "CONDITION", default_value = "not-running", value_parser = condition)]
    condition: Condition,
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Waits for each container in turn.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let mut code = 0;
    for name in &args.containers {
        match engine.wait_for(name, args.condition) {
            Ok(exit) => println!("{}", exit.code),
            Err(error) => code = exit::report(&error.into()),
        }
    }
    Ok(code)
}

fn condition(text: &str) -> Result<Condition, String> {
    Ok(match text {
        "not-running" | "stopped" | "exited" => Condition::NotRunning,
        "next-exit" => Condition::NextExit,
        "removed" => Condition::Removed,
        "created" => Condition::Created,
        "running" => Condition::Running,
        "paused" => Condition::Paused,
        "healthy" => Condition::Healthy,
        "unhealthy" => Condition::Unhealthy,
        _ => return Err(format!("no condition {text:?}: there are {CONDITIONS}")),
    })
}

const CONDITIONS: &str = "not-running, next-exit, removed, created, running, paused, healthy and unhealthy";
