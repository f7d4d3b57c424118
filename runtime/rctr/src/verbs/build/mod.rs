//! `rctr build`.

mod cache;
mod context;
mod git;
mod output;
mod platforms;
mod progress;
mod running;
mod screen;
mod squash;
mod values;

pub(crate) use context::spooled;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use engine::build::{Bases, BuildFailed, BuildRequest, Checkout, NamedContext, Repository, Stop, Unset, Watch};
use engine::{Engine, NetworkMode};
use images::{Image, Platform, Reference};

use crate::context::Context;
use crate::verbs::pull::{self, When};
use crate::verbs::push;
use crate::{exit, parse};

/// A build's own mistakes, and those of its programs.
const FAILED: i32 = 1;

/// Build an image from a Dockerfile
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name the image: [HOST[:PORT]/]NAME[:TAG]
    #[arg(short, long, value_name = "NAME")]
    tag: Vec<Reference>,
    /// The Dockerfile, if not the one in the context; - is standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<String>,
    /// Set an ARG: NAME=VALUE, or NAME for the caller's value
    #[arg(long, value_name = "NAME[=VALUE]")]
    build_arg: Vec<String>,
    /// Another context, for FROM and --from: NAME=FOLDER or NAME=docker-image://IMAGE
    #[arg(long, value_name = "NAME=PLACE", value_parser = values::named)]
    build_context: Vec<(String, NamedContext)>,
    /// Build this stage
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,
    /// Add a label: KEY=VALUE
    #[arg(long, value_name = "KEY[=VALUE]", value_parser = parse::label)]
    label: Vec<(String, String)>,
    /// Leave a variable out that an image below it has set
    #[arg(long, value_name = "KEY", value_parser = parse::variable)]
    unsetenv: Vec<String>,
    /// Leave a label of theirs out
    #[arg(long, value_name = "KEY")]
    unsetlabel: Vec<String>,
    /// Leave a VOLUME of theirs out
    #[arg(long, value_name = "PATH", value_parser = parse::workdir)]
    unsetvolume: Vec<String>,
    /// Leave an EXPOSE of theirs out: PORT[-PORT][/tcp|/udp|/sctp]
    #[arg(long, value_name = "PORT", value_parser = parse::exposed)]
    unsetexpose: Vec<Vec<String>>,
    /// Show a secret to RUN --mount=type=secret: id=ID[,src=FILE|,env=NAME]
    #[arg(long, value_name = "SECRET", value_parser = values::secret)]
    secret: Vec<values::Secret>,
    /// Show an agent to RUN --mount=type=ssh: default, or ID=SOCKET
    #[arg(long, value_name = "AGENT")]
    ssh: Vec<String>,
    /// Allow more to RUN: network.host, security.insecure, device
    #[arg(long, value_name = "WHAT", value_parser = ["network.host", "security.insecure", "device"])]
    allow: Vec<String>,
    /// Do every step anew
    #[arg(long)]
    no_cache: bool,
    /// Do every step of these stages anew
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    no_cache_filter: Vec<String>,
    /// When to pull images: always without a word of it, and missing without the flag
    #[arg(long, value_name = "WHEN", num_args = 0..=1, require_equals = true, default_missing_value = "always", value_parser = values::pull)]
    pull: Option<When>,
    /// For which machines: OS/ARCHITECTURE[/VARIANT]; for several of them, which become one index: PLATFORM,PLATFORM...
    #[arg(long, value_delimiter = ',')]
    platform: Vec<Platform>,
    /// The network of RUN: default, host or none
    #[arg(long, value_name = "NETWORK", default_value = "default", value_parser = values::network)]
    network: NetworkMode,
    /// What to make: type=image|oci|docker|tar|local[,dest=PATH], or a folder, or - for a tar archive
    #[arg(short, long, value_name = "OUTPUT", value_parser = values::output)]
    output: Option<values::Output>,
    /// Push the image under all its names, too
    #[arg(long, requires = "tag", conflicts_with = "output")]
    push: bool,
    /// Keep the image here: what is done without --output
    #[arg(long, conflicts_with = "output")]
    load: bool,
    /// Write the image's id to a file
    #[arg(long, value_name = "FILE")]
    iidfile: Option<PathBuf>,
    /// Write digests and names to a file, as JSON
    #[arg(long, value_name = "FILE")]
    metadata_file: Option<PathBuf>,
    #[command(flatten)]
    squash: squash::Args,
    #[command(flatten)]
    caches: cache::Args,
    #[command(flatten)]
    running: running::Args,
    #[command(flatten)]
    refused: running::Refused,
    /// How to show the work
    #[arg(long, value_enum, default_value_t)]
    progress: progress::Style,
    /// Show nothing but the image's id
    #[arg(short, long)]
    quiet: bool,
    /// A folder; a repository, as in https://HOST/NAME.git#BRANCH:FOLDER or git@HOST:NAME; or a Dockerfile or a tar archive: an address
    /// of http or https, or - for standard input
    context: String,
}

/// Builds, and prints the image's id if asked to be quiet.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let keep = args.build_arg.iter().any(|arg| arg == "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1");
    let source = context::Source::open(&engine, &args.context, args.file.as_deref(), keep)?;
    let mut request = request(&args, &source)?;
    (request.caches, request.inline_cache) = (args.caches.imported(context, request.platform.as_ref())?, args.caches.is_inline());
    let stop = Arc::new(Stop::new()?);
    end_with_signals(&stop)?;
    let style = if args.quiet { progress::Style::Quiet } else { args.progress.resolved() };
    let watch = progress::watch(style);
    let when = args.pull.unwrap_or_default();
    let images = Images { context, engine: &engine, when, quiet: style != progress::Style::Plain };
    let built = platforms::build(&engine, &args, &request, |request| engine.build(request, &images, watch.as_ref(), &stop));
    // The last frame is drawn before anything else is said.
    drop(watch);
    let built = match built? {
        Ok(built) => built,
        Err(failed) => return Ok(report(&source, failed)),
    };
    args.caches.export(context, &engine, &built, args.quiet)?;
    if let Some(output) = &args.output {
        output::write(context, &engine, &built, output, &args.tag)?;
    }
    let Some(image) = &built.image else { return Ok(0) };
    if let Some(file) = &args.iidfile {
        std::fs::write(file, image.id.as_str()).with_context(|| format!("--iidfile: write the id to {}", file.display()))?;
    }
    if let Some(file) = &args.metadata_file {
        let text = metadata(image, &args.tag);
        std::fs::write(file, text).with_context(|| format!("--metadata-file: write {}", file.display()))?;
    }
    if args.push {
        let options = context.push_options(None)?;
        args.tag.iter().try_for_each(|name| push::push(&engine, name, &options, args.quiet))?;
    }
    if args.quiet {
        println!("{}", image.id);
    }
    Ok(0)
}

/// Builds from an archive with the context, which has the Dockerfile.
///
/// # Errors
/// The context or a flag makes no sense; a step fails.
pub(crate) fn of_archive(
    context: &Context,
    engine: &Engine,
    args: &Args,
    archive: std::fs::File,
    watch: &dyn Watch,
    stop: &Stop,
) -> Result<Image> {
    let source = context::Source::stream(engine, archive, "the request", args.file.as_deref())?;
    let request = request(args, &source)?;
    let when = args.pull.unwrap_or_default();
    let images = Images { context, engine, when, quiet: true };
    match engine.build(&request, &images, watch, stop) {
        Ok(built) => built.image.context("no image was made"),
        Err(BuildFailed { at, error, .. }) => Err(match at {
            Some((first, _)) => anyhow::Error::from(error).context(format!("{}:{first}", source.name)),
            None => error.into(),
        }),
    }
}

fn request(args: &Args, source: &context::Source) -> Result<BuildRequest> {
    if let Some(name) = args.tag.iter().find(|name| name.tag().is_none()) {
        bail!("-t {name}: a name with a digest cannot be given to a new image");
    }
    args.squash.check(&args.caches)?;
    let mut values = BTreeMap::new();
    for arg in &args.build_arg {
        match arg.split_once('=') {
            Some(("", _)) => bail!("--build-arg {arg:?}: the form is NAME=VALUE"),
            Some((name, value)) => drop(values.insert(name.to_owned(), value.to_owned())),
            // As with Docker, a variable that the caller has not is no argument.
            None => values.extend(std::env::var(arg).ok().map(|value| (arg.clone(), value))),
        }
    }
    let epoch = values.get("SOURCE_DATE_EPOCH").cloned().or_else(|| std::env::var("SOURCE_DATE_EPOCH").ok());
    let epoch = epoch.filter(|text| !text.is_empty()).map(|text| {
        text.parse::<u32>()
            .map(i64::from)
            .with_context(|| format!("SOURCE_DATE_EPOCH {text:?}: it is a number of seconds since 1970"))
    });
    let mut secrets = BTreeMap::new();
    for secret in &args.secret {
        secrets.insert(secret.id.clone(), secret.read()?);
    }
    let agents = args.ssh.iter().map(|text| values::agent(text)).collect::<Result<_>>()?;
    Ok(BuildRequest {
        dockerfile: source.dockerfile.clone(),
        context: source.folder(),
        ignore: source.ignore.clone(),
        contexts: args.build_context.iter().cloned().collect(),
        args: values,
        target: args.target.clone(),
        platform: args.platform.first().cloned(),
        says_platform: args.platform.len() > 1,
        labels: args.label.iter().cloned().collect(),
        unset: Unset {
            env: args.unsetenv.clone(),
            labels: args.unsetlabel.clone(),
            volumes: args.unsetvolume.clone(),
            ports: args.unsetexpose.concat(),
        },
        names: args.tag.clone(),
        squash: args.squash.squash(),
        no_cache: args.no_cache,
        forgetful: args.squash.is_forgetful(),
        no_cache_filter: args.no_cache_filter.clone(),
        caches: Vec::new(),
        inline_cache: false,
        secrets,
        agents,
        network: args.network.clone(),
        entitlements: args.allow.clone(),
        epoch: epoch.transpose()?,
        image: args.output.as_ref().is_none_or(values::Output::needs_image),
        running: args.running.running(),
    })
}

/// Images from the store, or pulled; files from the web.
struct Images<'a> {
    context: &'a Context,
    engine: &'a Engine,
    when: When,
    quiet: bool,
}

impl Bases for Images<'_> {
    fn image(&self, name: &str, platform: Option<&Platform>) -> Result<Image, Box<dyn std::error::Error + Send + Sync>> {
        Ok(pull::present(self.context, self.engine, name, self.when, platform.cloned(), self.quiet)?)
    }

    fn fetch(&self, address: &str) -> Result<images::Downloaded, Box<dyn std::error::Error + Send + Sync>> {
        Ok(images::download(self.engine.images(), address, &crate::context::proxies())?)
    }

    fn checkout(&self, repository: &Repository, keep: bool) -> Result<Checkout, Box<dyn std::error::Error + Send + Sync>> {
        Ok(git::fetch(self.engine, repository, keep)?)
    }
}

/// The first signal ends the build in good order, the second at once.
fn end_with_signals(stop: &Arc<Stop>) -> Result<()> {
    const SIGNALS: [i32; 3] = [1, 2, 15];
    let signals = sys::signal::signalfd(&SIGNALS).context("take over signals")?;
    let stop = stop.clone();
    let wait = move || {
        let mut before = false;
        loop {
            let mut fds = [rustix::event::PollFd::new(&signals, rustix::event::PollFlags::IN)];
            let _ = rustix::event::poll(&mut fds, None);
            while let Some(signal) = sys::signal::read(&signals) {
                if std::mem::replace(&mut before, true) {
                    std::process::exit(128 + signal);
                }
                stop.stop();
            }
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(wait).context("make a thread")?;
    Ok(())
}

/// Shows where a build failed, and why.
fn report(source: &context::Source, failed: BuildFailed) -> i32 {
    let BuildFailed { at, about, error } = failed;
    let why = exit::links(&error);
    match at {
        Some((first, last)) => {
            eprint!("{}", engine::build::dockerfile::excerpt(&source.dockerfile, (first, last), about.as_deref()));
            eprintln!("rctr: {}:{first}: {why}", source.name);
        }
        None => eprintln!("rctr: build: {why}"),
    }
    FAILED
}

fn metadata(image: &Image, names: &[Reference]) -> String {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let json = serde_json::json!({
        "containerimage.config.digest": image.id,
        // What the names mean: the index, where there are several platforms.
        "containerimage.digest": image.target,
        "image.name": names.join(","),
    });
    format!("{json:#}\n")
}
