//! `rctr tag`.

use anyhow::{Result, bail};
use images::Reference;

use crate::context::Context;
use crate::output::told;

/// Give an image a further name
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A name or id
    source: String,
    /// [HOST[:PORT]/]NAME[:TAG]
    target: Reference,
}

/// Names the image. A name that meant another image before moves.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    if args.target.digest().is_some() {
        bail!("tag {}: a name with a digest is no tag: write NAME:TAG", args.target.familiar());
    }
    let engine = context.engine()?;
    let images = engine.images();
    let image = images.image(&args.source)?;
    images.tag(&image, &args.target)?;
    told::image(&engine, "tag", image.id.as_str(), &args.target.familiar());
    Ok(0)
}
