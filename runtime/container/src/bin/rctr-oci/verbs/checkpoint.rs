//! `checkpoint` and `restore`: known, and refused.

use super::Verb;
use crate::Context;
use crate::args::{Args, Order};
use crate::error::{Failed, Result};

pub(super) const CHECKPOINT: Verb =
    Verb { name: "checkpoint", usage: "ID", about: "not supported yet", flags: &[], flags_come: Order::None, run: refuse };

pub(super) const RESTORE: Verb =
    Verb { name: "restore", usage: "ID", about: "not supported yet", flags: &[], flags_come: Order::None, run: refuse };

fn refuse(_: &Context, _: &Args) -> Result<u8> {
    Err(Failed::new("checkpoint and restore are not supported yet"))
}
