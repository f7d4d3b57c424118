//! `rctr tag`.

use anyhow::{Result, bail};
use engine::Engine;
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
    tag(&context.engine()?, &args.source, &args.target)?;
    Ok(0)
}

/// Names the image, and tells of it.
pub(crate) fn tag(engine: &Engine, source: &str, target: &Reference) -> Result<()> {
    if target.digest().is_some() {
        bail!("tag {}: a name with a digest is no tag: write NAME:TAG", target.familiar());
    }
    let images = engine.images();
    let image = images.image(source)?;
    images.tag(&image, target)?;
    told::image(engine, "tag", image.id.as_str(), &target.familiar());
    Ok(())
}
