//! `rctr push`.

use anyhow::{Result, bail};
use engine::Engine;
use images::{Platform, Progress, PushOptions, Pushed, Reference};

use crate::context::{Context, Tls};
use crate::exit;
use crate::output::{progress, told};

/// Push an image to its registry
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Push all tags of the repository
    #[arg(short, long)]
    all_tags: bool,
    /// Only the image for these machines, OS/ARCHITECTURE[/VARIANT], without the index that it may have come with
    #[arg(long)]
    platform: Option<Platform>,
    /// Push also layers that may not be given to others, such as those of Windows
    #[arg(long)]
    allow_nondistributable_artifacts: bool,
    /// Print only the image's name
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    tls: Tls,
    /// [HOST[:PORT]/]NAME[:TAG]
    image: String,
}

/// Pushes the image and prints what its name means in the registry now.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let context = &context.trusting(args.tls);
    let engine = context.engine()?;
    let reference: Reference = args.image.parse()?;
    let options = || {
        let options = context.push_options(args.platform.clone())?;
        Ok::<_, anyhow::Error>(PushOptions { nondistributable: args.allow_nondistributable_artifacts, ..options })
    };
    if !args.all_tags {
        return push(&engine, &reference, &options()?, args.quiet).map(|()| 0);
    }
    super::pull::untagged(&args.image)?;
    let mut code = 0;
    for name in tags(&engine, &reference)? {
        if let Err(error) = push(&engine, &name, &options()?, args.quiet) {
            code = exit::report(&error);
        }
    }
    Ok(code)
}

/// Pushes one image.
pub(crate) fn push(engine: &Engine, reference: &Reference, options: &PushOptions, quiet: bool) -> Result<()> {
    engine.images().image(&reference.to_string())?;
    if !quiet {
        println!("The push refers to repository [{}]", reference.familiar_name());
    }
    let pushed = send(engine, reference, options, progress::shown(progress::PUSH, quiet).as_ref())?;
    if !pushed.without.is_empty() {
        let (what, without) = (reference.familiar(), pushed.without.join(", "));
        eprintln!("rctr: {what}: pushed without those of its index that neither this host nor the repository has: {without}");
    }
    match quiet {
        true => println!("{reference}"),
        false => {
            let what = reference.tag().unwrap_or_default();
            println!("{what}: digest: {} size: {}", pushed.digest, pushed.size);
        }
    }
    Ok(())
}

/// Pushes, and tells of it.
pub(crate) fn send(engine: &Engine, reference: &Reference, options: &PushOptions, progress: &dyn Progress) -> Result<Pushed> {
    let pushed = images::push(engine.images(), reference, options, progress)?;
    told::image(engine, "push", &reference.familiar(), &reference.familiar_name());
    Ok(pushed)
}

/// All names of the repository.
fn tags(engine: &Engine, reference: &Reference) -> Result<Vec<Reference>> {
    let images = engine.images().images()?;
    let same = |name: &&Reference| {
        (name.registry(), name.repository()) == (reference.registry(), reference.repository()) && name.tag().is_some()
    };
    let names: Vec<_> = images.iter().flat_map(|image| &image.names).filter(same).cloned().collect();
    if names.is_empty() {
        bail!("no such image: {}", reference.familiar_name());
    }
    Ok(names)
}
