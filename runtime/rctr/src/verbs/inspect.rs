//! `rctr inspect`.

pub(crate) mod container;
mod host;
pub(crate) mod image;
pub(crate) mod mounts;

use anyhow::{Result, bail};
use engine::{Engine, Error};
use images::Platform;
use serde_json::Value;

use crate::context::Context;
use crate::exit;
use crate::output::template;

/// Print everything about containers and images as JSON
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A Go template, such as '{{.State.Pid}}'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// Look only for one kind
    #[arg(long = "type", value_name = "TYPE", value_parser = ["container", "image", "network", "volume"])]
    kind: Option<String>,
    /// Also say how much a container has written, and how much its files are
    #[arg(short, long)]
    size: bool,
    /// Only of images, with `image inspect`
    #[arg(skip)]
    platform: Option<Platform>,
    /// Names or ids
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

/// Print everything about them as JSON
#[derive(Debug, clap::Args)]
pub(crate) struct One {
    /// A Go template, such as '{{.Id}}'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// Also say how much a container has written, and how much its files are
    #[arg(short, long)]
    size: bool,
    /// Names or ids
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

/// Print everything about images as JSON
#[derive(Debug, clap::Args)]
pub(crate) struct OfImage {
    #[command(flatten)]
    one: One,
    /// Of the image for these machines: OS/ARCHITECTURE[/VARIANT]
    #[arg(long)]
    platform: Option<Platform>,
}

impl OfImage {
    /// Looks for images alone.
    pub(crate) fn image(self) -> Args {
        Args { platform: self.platform, ..self.one.of("image") }
    }
}

impl One {
    /// Looks only for this kind.
    pub(crate) fn of(self, kind: &str) -> Args {
        Args { format: self.format, kind: Some(kind.to_owned()), size: self.size, platform: None, names: self.names }
    }
}

/// Prints one JSON array of all that was found, in Docker's shape.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    each(&args.names, args.format.as_deref(), |name| look(&engine, name, args.kind.as_deref(), args.size, args.platform.as_ref()))
}

/// Prints what is known of each: one JSON array, or a line of the template for each. One that is not there is told of, and the rest printed.
/// Answers the exit code.
pub(crate) fn each(names: &[String], format: Option<&str>, look: impl Fn(&str) -> Result<Value>) -> Result<i32> {
    let (mut code, mut found) = (0, Vec::new());
    for name in names {
        match look(name) {
            Ok(value) => found.push(value),
            Err(error) => code = exit::report(&error),
        }
    }
    match format {
        Some(format) => {
            for value in &found {
                println!("{}", template::one(format, value)?);
            }
        }
        None => println!("{}", serde_json::to_string_pretty(&found)?),
    }
    Ok(code)
}

/// The id of a container's place in a network. It depends on both alone, so it is the same whenever the container runs there.
pub(crate) fn endpoint_id(container: &str, network: &str) -> String {
    images::Digest::sha256(format!("{container}/{network}").as_bytes()).hex().to_owned()
}

/// What is said of a container, with how much it has written and how much its files are.
pub(crate) fn with_size(engine: &Engine, container: &engine::Container, mut shape: Value) -> Value {
    let (written, image) = super::ps::sizes(engine, container);
    (shape["SizeRw"], shape["SizeRootFs"]) = (written.into(), image.saturating_add(written).into());
    shape
}

fn look(engine: &Engine, name: &str, kind: Option<&str>, size: bool, platform: Option<&Platform>) -> Result<Value> {
    if kind == Some("network") {
        return Ok(super::network::inspect::shape(&engine.network(name)?, &engine.containers()?));
    }
    if kind == Some("volume") {
        return Ok(super::volume::shape(&engine.volume(name)?));
    }
    if kind != Some("image") {
        match engine.container(name) {
            Ok(found) => {
                let shape = container::shape(engine, &found);
                return Ok(if size { with_size(engine, &found, shape) } else { shape });
            }
            Err(Error::NoSuchContainer(_)) if kind.is_none() => {}
            Err(error) => return Err(error.into()),
        }
    }
    match engine.images().image_for(name, platform) {
        Ok(found) => Ok(image::shape(&found)),
        Err(error) if matches!(error, images::Error::NotFound { .. }) && kind.is_none() => match engine.network(name) {
            Ok(found) => Ok(super::network::inspect::shape(&found, &engine.containers()?)),
            Err(Error::NoSuchNetwork(_)) => match engine.volume(name) {
                Ok(found) => Ok(super::volume::shape(&found)),
                Err(Error::NoSuchVolume(_)) => bail!("no such container, image, network or volume: {name}"),
                Err(error) => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        },
        Err(error) => Err(error.into()),
    }
}
