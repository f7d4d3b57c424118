//! `start`: the program of a created container.

use launch::Stage;

use super::Verb;
use super::status::{Status, locked};
use crate::args::{Args, Order};
use crate::error::{Failed, Result};
use crate::record::Record;
use crate::store::{GATE, lock};
use crate::{Context, hooks};

pub(super) const VERB: Verb = Verb {
    name: "start",
    usage: "ID",
    about: "execute the program of a created container",
    flags: &[],
    flags_come: Order::Anywhere,
    run,
};

fn run(context: &Context, args: &Args) -> Result<u8> {
    let id = args.only("container id")?;
    let (entry, record) = lock(&context.root, id)?;
    let started = || Failed::new(format!("container {id:?}: cannot start an already running container"));
    match locked(&record) {
        Status::Created => {}
        Status::Stopped => return Err(Failed::new(format!("container {id:?}: cannot start a container that has stopped"))),
        Status::Paused => return Err(Failed::new(format!("container {id:?}: cannot start a paused container"))),
        _ => return Err(started()),
    }
    let filter = if record.rctr.listener { entry.shared()?.seccomp } else { None };
    let listener = filter.as_ref().and_then(|filter| filter.listener.as_ref());
    match launch::start(&entry.folder, GATE, record.init_process_pid, listener) {
        Ok(()) => poststart(&record).map(|()| 0),
        Err(Stage::Gone) => Err(started()),
        Err(Stage::Failed(failure)) => Err(failure.into()),
    }
}

/// After the program runs. One that fails is an error, and the container stays (runtime-spec 1.3).
pub(super) fn poststart(record: &Record) -> Result<()> {
    let Some(found) = record.rctr.hooks.as_ref().and_then(|hooks| hooks.poststart().as_deref()) else { return Ok(()) };
    let state = hooks::state(record, record.init_process_pid, "running");
    sys::fds::close_on_exec_from(3)?;
    hooks::run_all("poststart", Some(found), &state).map_err(Failed::new)
}
