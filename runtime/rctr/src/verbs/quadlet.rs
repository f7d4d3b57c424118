//! `rctr quadlet`.

use std::path::PathBuf;

use anyhow::Result;

use crate::quadlet;

/// Make units of systemd of the files that podman-systemd.unit(5) describes, as systemd has it done by rctr-generator
///
/// Files NAME.container, .volume, .network, .image and .build in /run/containers/systemd, /etc/containers/systemd and
/// /usr/share/containers/systemd, or in the folders of QUADLET_UNIT_DIRS, become NAME.service and NAME-volume.service and so on at boot and at
/// systemctl daemon-reload. What is wrong with one is printed here, and goes to the log of the kernel there.
#[derive(Debug, clap::Args)]
#[command(override_usage = "rctr quadlet [--from FOLDER]... <--dryrun|FOLDER>")]
pub(crate) struct Args {
    /// Print the units
    #[arg(long, alias = "dry-run", required_unless_present = "output")]
    dryrun: bool,
    /// Look for files in this folder instead of the usual ones
    #[arg(long, value_name = "FOLDER")]
    from: Vec<PathBuf>,
    /// Write the units into this folder
    #[arg(value_name = "FOLDER", conflicts_with = "dryrun")]
    output: Option<PathBuf>,
}

/// Makes them; those that can be made are made.
pub(crate) fn run(args: Args) -> Result<i32> {
    let folders = if args.from.is_empty() { quadlet::usual() } else { args.from };
    let made = quadlet::services(&folders)?;
    match &args.output {
        Some(folder) => quadlet::write(&made, folder, &|text| eprintln!("rctr: {text}")),
        None => Ok(quadlet::print(&made)),
    }
}
