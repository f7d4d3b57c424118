//! `rctr system migrate`.

use anyhow::Result;
use engine::{Container, Grace};

use crate::context::Context;
use crate::exit;
use crate::rootless::Ending;

/// Stop all containers, and end the namespaces that those of an ordinary user are in: the next command makes new ones, by what
/// /etc/subuid and /etc/subgid say by then
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Stops what runs and prints its ids. What does not stop keeps its home.
pub(super) fn run(context: &Context) -> Result<i32> {
    let engine = context.engine()?;
    let ending = match engine.config().home {
        None => None,
        Some(_) => Some(Ending::begin(&context.run_folder()?)?),
    };
    // Somebody else has ended it all.
    if matches!(ending, Some(None)) {
        return Ok(0);
    }
    let running = engine.containers()?.into_iter().filter(Container::is_running).map(|container| container.record.id);
    let code = exit::at_once(&running.collect::<Vec<_>>(), |id| Ok(engine.stop(id, None, Grace::Own)?));
    match ending.flatten() {
        Some(ending) if code == 0 => ending.finish().map(|()| 0),
        _ => Ok(code),
    }
}
