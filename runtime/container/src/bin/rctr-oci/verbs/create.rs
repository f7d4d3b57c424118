//! `create`: everything but the program.

use super::Verb;
use crate::args::{Args, Order};
use crate::error::Result;
use crate::make::{self, Given, hand_out, make};
use crate::{Context, error};

pub(super) const VERB: Verb = Verb {
    name: "create",
    usage: "[FLAGS] ID",
    about: "make a container whose program waits for `start`",
    flags: &[
        make::BUNDLE,
        make::CONSOLE_SOCKET,
        make::PIDFD_SOCKET,
        make::PID_FILE,
        make::NO_PIVOT,
        make::NO_KEYRING,
        make::PRESERVE_FDS,
    ],
    flags_come: Order::Anywhere,
    run,
};

fn run(context: &Context, args: &Args) -> Result<u8> {
    let made = make(context, args, args.only("container id")?, true)?;
    // Before init is left alone: whatever fails until then undoes it all.
    hand_out(args, &Given::init(&made.created))?;
    let (created, _, _, entry) = made.keep();
    created.leave().map_err(error::Failed::from).inspect_err(|_| {
        let _ = super::delete::remove(context, &entry);
    })?;
    Ok(0)
}
