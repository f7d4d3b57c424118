//! `state`: what a container does.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::Verb;
use super::status::{self, Status};
use crate::args::{Args, Order};
use crate::error::Result;
use crate::record::Record;
use crate::store::{Entry, open};
use crate::{Context, output};

pub(super) const VERB: Verb =
    Verb { name: "state", usage: "ID", about: "print a container's state as JSON", flags: &[], flags_come: Order::Anywhere, run };

/// A state as runc prints it.
#[derive(Serialize)]
pub(super) struct State<'a> {
    #[serde(rename = "ociVersion")]
    version: &'a str,
    pub(super) id: &'a str,
    pub(super) pid: u32,
    pub(super) status: String,
    pub(super) bundle: &'a Path,
    rootfs: &'a Path,
    pub(super) created: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
    pub(super) owner: String,
}

impl<'a> State<'a> {
    pub(super) fn of(entry: &Entry, record: &'a Record) -> State<'a> {
        let status = status::of(entry, record);
        State {
            version: &record.rctr.oci_version,
            id: &record.id,
            pid: if status == Status::Stopped { 0 } else { record.init_process_pid },
            status: status.to_string(),
            bundle: &record.rctr.bundle,
            rootfs: &record.config.rootfs,
            created: &record.created,
            annotations: &record.rctr.annotations,
            owner: entry.owner(),
        }
    }
}

fn run(context: &Context, args: &Args) -> Result<u8> {
    let (entry, record) = open(&context.root, args.only("container id")?)?;
    output::pretty(&State::of(&entry, &record))
}
