//! `pause` and `resume`: all processes of a container, frozen and let go.

use container::cgroup::{freeze, thaw};

use super::Verb;
use super::status::{Status, locked};
use crate::Context;
use crate::args::{Args, Order};
use crate::error::{Failed, Result};
use crate::store::lock;

pub(super) const PAUSE: Verb = Verb {
    name: "pause",
    usage: "ID",
    about: "freeze all processes of a container",
    flags: &[],
    flags_come: Order::Anywhere,
    run: pause,
};

pub(super) const RESUME: Verb = Verb {
    name: "resume",
    usage: "ID",
    about: "let the processes of a paused container go on",
    flags: &[],
    flags_come: Order::Anywhere,
    run: resume,
};

fn pause(context: &Context, args: &Args) -> Result<u8> {
    let (_entry, record) = lock(&context.root, args.only("container id")?)?;
    match locked(&record) {
        Status::Running | Status::Created => freeze(&record.hierarchies()?, &record.config.cgroups.path)?,
        _ => return Err(Failed::not_running(&record.id)),
    }
    Ok(0)
}

fn resume(context: &Context, args: &Args) -> Result<u8> {
    let (_entry, record) = lock(&context.root, args.only("container id")?)?;
    match locked(&record) {
        Status::Paused => thaw(&record.hierarchies()?, &record.config.cgroups.path)?,
        _ => return Err(Failed::new(format!("container {:?}: container not paused", record.id))),
    }
    Ok(0)
}
