//! `rctr boot`.

use anyhow::Result;
use engine::{Again, Engine, StartOptions};

use crate::context::Context;
use crate::exit;

/// Start containers that ended with the host, or whose monitor was killed, as their restart policies want it
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this one, which has just ended by itself; its monitor becomes this command
    #[arg(long, value_name = "ID", hide = true)]
    again: Option<String>,
}

/// Starts what should run. One that cannot be started does not keep the others from it.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    if let Some(id) = args.again {
        return again(&engine, &id);
    }
    let mut code = 0;
    for container in engine.wanted()? {
        match engine.start(&container.record.id, &StartOptions::default()) {
            Ok(_) => println!("{}", container.record.id),
            // Somebody else was faster.
            Err(engine::Error::Running(_) | engine::Error::NoSuchContainer(_)) => {}
            Err(error) => code = exit::report(&anyhow::Error::from(error).context(format!("start {}", container.record.name))),
        }
    }
    Ok(code)
}

/// Starts one container; while that fails and its policy wants it, again after a while.
fn again(engine: &Engine, id: &str) -> Result<i32> {
    loop {
        match engine.start_again(id)? {
            Again::Started | Again::NotWanted => return Ok(0),
            Again::Later(pause, _) => std::thread::sleep(pause),
        }
    }
}
