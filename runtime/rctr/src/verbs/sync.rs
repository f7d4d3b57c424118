//! `rctr image sync`, which each pull starts for itself.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use images::Store;

use crate::context::Context;
use crate::contexts;

/// Wait until the disk has all layers of images (what brings images here starts this in the background)
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Behind everything else that the host does, and without a terminal
    #[arg(long, hide = true)]
    behind: bool,
    /// Names or ids; without any, all images
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
}

/// Says nothing: what is synced looks as before.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    if args.behind {
        step_back();
    }
    let folder = context.root()?.join("images");
    if args.behind && !folder.exists() {
        return Ok(0);
    }
    let store = Store::open(&folder)?;
    if args.images.is_empty() {
        store.sync(None)?;
    }
    for name in &args.images {
        store.sync(Some(&store.image(name)?))?;
    }
    Ok(0)
}

/// The lowest priorities there are. It is no error to have others.
fn step_back() {
    const IDLE: u8 = 3;
    let _ = rustix::process::setsid();
    let _ = rustix::process::nice(19);
    let _ = sys::sched::set_io_priority(IDLE, 0);
}

/// Starts to sync what is new behind the caller's back. A process that is killed leaves marks, by which a later one goes on.
pub(crate) fn behind(context: &Context) -> Result<()> {
    let program = std::env::current_exe().context("find this program")?;
    let mut command = Command::new(program);
    command
        .args(["--context", contexts::DEFAULT, "--root"])
        .arg(context.root()?)
        .args(["image", "sync", "--behind"])
        .current_dir("/");
    let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = started.context("start rctr image sync")?;
    // Whoever runs for long has no dead child meanwhile.
    std::thread::spawn(move || child.wait());
    Ok(())
}
