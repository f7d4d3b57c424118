//! `rctr copy`.

use anyhow::Result;
use images::{CopyOptions, Platform};

use crate::context::{Context, Tls};
use crate::output::progress;

/// Copy an image from one registry to another, with all its platforms
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Copy only this platform: OS/ARCHITECTURE[/VARIANT]
    #[arg(long)]
    platform: Option<Platform>,
    /// Copy also what refers to the image, such as signatures
    #[arg(long)]
    referrers: bool,
    /// Copy also layers that may not be given to others, such as those of Windows
    #[arg(long)]
    allow_nondistributable_artifacts: bool,
    /// Print only the new name with its digest
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    tls: Tls,
    /// [HOST[:PORT]/]NAME[:TAG|@DIGEST]
    source: String,
    /// [HOST[:PORT]/]NAME[:TAG]
    target: String,
}

/// Copies the image and prints what its new name means.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let context = &context.trusting(args.tls);
    let images::PullOptions { platform, registries, credentials, policy, .. } = context.pull_options(args.platform)?;
    let (from, to) = (registries.reference(&args.source)?, args.target.parse()?);
    let nondistributable = args.allow_nondistributable_artifacts;
    let options = CopyOptions { platform, referrers: args.referrers, nondistributable, registries, credentials, policy };
    let progress = progress::shown(progress::COPY, args.quiet);
    let copied = images::copy(&from, &to, &options, progress.as_ref())?;
    match args.quiet {
        true => println!("{}", to.with_digest(&copied.digest)),
        false => println!("{}: digest: {} size: {}", to.familiar(), copied.digest, copied.size),
    }
    Ok(0)
}
