//! `rctr pull`, and the pull inside `create` and `run`.

use anyhow::{Result, bail};
use engine::Engine;
use images::{Image, Platform, Progress, PullOptions, Pulled, Reference};

use super::sync;
use crate::context::{Context, Tls};
use crate::exit;
use crate::output::{progress, told};

/// Pull an image from its registry
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Pull all tags of the repository
    #[arg(short, long)]
    all_tags: bool,
    /// Choose among the image's platforms: OS/ARCHITECTURE[/VARIANT]
    #[arg(long)]
    platform: Option<Platform>,
    /// Print only the image's name
    #[arg(short, long)]
    quiet: bool,
    /// Wait until the disk has it, too
    #[arg(long)]
    sync: bool,
    #[command(flatten)]
    tls: Tls,
    /// [HOST[:PORT]/]NAME[:TAG|@DIGEST]
    image: String,
}

/// When to pull an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum When {
    /// When it is not here
    #[default]
    Missing,
    /// Each time
    Always,
    /// When the registry has another one; one that is here does where the registry cannot be asked
    Newer,
    /// Not at all
    Never,
}

/// Pulls the image and prints what became of it.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let context = &context.trusting(args.tls);
    let engine = context.engine()?;
    let reference = context.registries()?.reference(&args.image)?;
    if !args.all_tags {
        return one(context, &engine, &reference, &args).map(|()| 0);
    }
    untagged(&args.image)?;
    let tags = images::tags(&reference, &super::manifest::options(context)?)?;
    if tags.is_empty() {
        bail!("pull {}: the repository has no tags", reference.familiar_name());
    }
    let mut code = 0;
    for tag in &tags {
        let name: Reference = format!("{}/{}:{tag}", reference.registry(), reference.repository()).parse()?;
        if let Err(error) = one(context, &engine, &name, &args) {
            code = exit::report(&error);
        }
    }
    Ok(code)
}

/// With all tags none is asked for.
pub(super) fn untagged(image: &str) -> Result<()> {
    let last = image.rsplit('/').next().unwrap_or_default();
    if last.contains([':', '@']) {
        bail!("--all-tags: {image:?} names a tag or a digest: leave it out");
    }
    Ok(())
}

/// Pulls one image.
fn one(context: &Context, engine: &Engine, reference: &Reference, args: &Args) -> Result<()> {
    let pulled = pull(context, engine, reference, args.platform.clone(), args.quiet)?;
    if args.sync {
        engine.images().sync(Some(&pulled.image))?;
    } else if pulled.fresh {
        sync::behind(context)?;
    }
    if args.quiet {
        println!("{reference}");
        return Ok(());
    }
    println!("Digest: {}", pulled.digest);
    let what = if pulled.fresh { "Downloaded newer image for" } else { "Image is up to date for" };
    println!("Status: {what} {}", reference.familiar());
    println!("{reference}");
    Ok(())
}

/// The image `name`, pulled if `when` says so.
pub(crate) fn present(
    context: &Context,
    engine: &Engine,
    name: &str,
    when: When,
    platform: Option<Platform>,
    quiet: bool,
) -> Result<Image> {
    // What the name means now, if it is only for another platform's sake that it is pulled.
    let before = platform.as_ref().and_then(|_| engine.images().image(name).ok());
    let of = |name: &str| engine.images().image_for(name, platform.as_ref());
    let mut found = of(name);
    let mut alias = None;
    if let Err(images::Error::NotFound { .. }) = &found {
        // Only now is it worth to read what short names there are.
        alias = context.registries()?.alias(name)?;
        if let Some(long) = &alias {
            found = of(&long.to_string());
        }
    }
    // One that a power cut or the disk has damaged is as good as none, as long as it can be had again.
    found = found.and_then(|image| engine.images().check_layers(&image).map(|()| image));
    let mut spare = None;
    match (found, when) {
        (Ok(image), When::Missing | When::Never) => return Ok(image),
        (Ok(image), When::Newer) => spare = Some(image),
        (Err(error @ images::Error::Damaged { .. }), When::Missing | When::Always | When::Newer) => eprintln!("rctr: {error}"),
        (Err(error), _) if !matches!(error, images::Error::NotFound { .. } | images::Error::OtherPlatform { .. }) => {
            return Err(error.into());
        }
        (Err(error), When::Never) => return Err(anyhow::Error::from(error).context("--pull never")),
        _ => {}
    }
    let reference = alias.map_or_else(|| name.parse(), Ok)?;
    if !quiet {
        eprintln!("Pulling {}", reference.familiar());
    }
    let pulled = match (pull(context, engine, &reference, platform, quiet), spare) {
        (Err(error), Some(image)) => {
            eprintln!("rctr: {}: taking the one that is here", exit::chain(&error));
            return Ok(image);
        }
        (pulled, _) => pulled?,
    };
    if let Some(before) = before.filter(|before| before.target == pulled.digest && before.manifest != pulled.image.manifest) {
        engine.images().tag(&before, &reference)?;
    }
    if pulled.fresh {
        sync::behind(context)?;
    }
    Ok(pulled.image)
}

fn pull(context: &Context, engine: &Engine, reference: &Reference, platform: Option<Platform>, quiet: bool) -> Result<Pulled> {
    let options = context.pull_options(platform)?;
    fetch(engine, reference, &options, progress::shown(progress::PULL, quiet).as_ref())
}

/// Pulls, and tells of it.
pub(crate) fn fetch(engine: &Engine, reference: &Reference, options: &PullOptions, progress: &dyn Progress) -> Result<Pulled> {
    let pulled = images::pull(engine.images(), reference, options, progress);
    if pulled.is_ok() {
        told::image(engine, "pull", &reference.familiar(), &reference.familiar_name());
    }
    pulled.map_err(|error| {
        let other_platform = matches!(error, images::Error::WrongPlatform { .. });
        let error = anyhow::Error::from(error);
        let named = exit::chain(&error).contains(&reference.familiar());
        let error = if other_platform { anyhow::anyhow!("{error}: choose one with --platform") } else { error };
        if named { error } else { error.context(format!("pull {}", reference.familiar())) }
    })
}
