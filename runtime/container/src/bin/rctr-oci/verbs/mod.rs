//! The verbs, one file each.

mod checkpoint;
mod create;
mod delete;
mod events;
mod exec;
mod features;
mod kill;
mod list;
mod man;
mod pause;
mod ps;
mod restore;
mod run;
mod spec;
mod start;
mod state;
mod status;
mod update;

use crate::Context;
use crate::args::{Args, Flag, Order};
use crate::error::Result;

/// A verb.
pub(crate) struct Verb {
    pub(crate) name: &'static str,
    /// What comes after it, in its help.
    pub(crate) usage: &'static str,
    pub(crate) about: &'static str,
    pub(crate) flags: &'static [Flag],
    /// Where its flags may be.
    pub(crate) flags_come: Order,
    /// Does it; the exit code.
    pub(crate) run: fn(&Context, &Args) -> Result<u8>,
}

/// All of them.
pub(crate) const ALL: &[Verb] = &[
    create::VERB,
    start::VERB,
    state::VERB,
    kill::VERB,
    delete::VERB,
    run::VERB,
    exec::VERB,
    list::VERB,
    ps::VERB,
    pause::PAUSE,
    pause::RESUME,
    update::VERB,
    events::VERB,
    spec::VERB,
    features::VERB,
    checkpoint::VERB,
    restore::VERB,
    man::VERB,
];
