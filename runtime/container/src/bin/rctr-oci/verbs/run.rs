//! `run`: create and start, and then stay until the end, or not.

use super::Verb;
use super::start::poststart;
use crate::Context;
use crate::args::{Args, Flag, Order, switch};
use crate::error::Result;
use crate::foreground::{self, Foreground};
use crate::make::{self, Given, hand_out, make};

pub(super) const VERB: Verb = Verb {
    name: "run",
    usage: "[FLAGS] ID",
    about: "make a container and run its program",
    flags: FLAGS,
    flags_come: Order::Anywhere,
    run,
};

const FLAGS: &[Flag] = &[
    make::BUNDLE,
    make::CONSOLE_SOCKET,
    make::PIDFD_SOCKET,
    make::PID_FILE,
    make::NO_PIVOT,
    make::NO_KEYRING,
    make::PRESERVE_FDS,
    switch(&["detach", "d"], "do not wait for its end"),
    switch(&["keep"], "do not delete the container when it has ended"),
    switch(&["no-subreaper"], "do not adopt processes that the container leaves behind"),
];

fn run(context: &Context, args: &Args) -> Result<u8> {
    let (id, detach) = (args.only("container id")?, args.on("detach"));
    crate::program::seal_self()?;
    let watch = if detach { None } else { Some(foreground::prepare(!args.on("no-subreaper"))?) };
    let made = make(context, args, id, detach)?;
    hand_out(args, &Given::init(&made.created))?;
    let (created, record, _, entry) = made.keep();
    let undo = |failed| {
        let _ = super::delete::remove(context, &entry);
        failed
    };
    let mut running = created.start().map_err(|failure| undo(failure.into()))?;
    if let Err(failed) = poststart(&record) {
        return Err(undo(failed));
    }
    let Some(signals) = watch else { return Ok(0) };
    // Others may look at it and change it from here on.
    let _ = rustix::fs::flock(&entry.folder, rustix::fs::FlockOperation::Unlock);
    let code = Foreground { process: &running.pidfd, terminal: running.terminal.take(), signals }.wait();
    if !args.on("keep") {
        entry.lock(true)?;
        super::delete::remove(context, &entry)?;
    }
    code
}
