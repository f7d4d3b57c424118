//! The body of a container in Docker's API, as the flags of `rctr create`: each value is read by the very parser that reads it on the command
//! line, and means the same. What no flag can say, such as an entrypoint of several words, is put into the request beside them.

mod config;
mod host;
mod mounts;
mod network;
mod words;

use clap::Parser;
use engine::{Change, CreateRequest, NetworkRequest};
use serde_json::{Map, Value};

pub(super) use host::{network as endpoint, ulimits};
pub(super) use words::{Refusal, Words, is_nothing, refused as refused_line};

use crate::verbs::create::{CreateArgs, limits::Limits};

/// How the output of a container is kept whose maker does not say.
pub(super) const LOG_DRIVER: &str = "json-file";

/// What is asked for.
#[derive(Debug)]
pub(super) struct Asked {
    /// The image's name.
    pub(super) image: String,
    /// The flags.
    pub(super) args: CreateArgs,
    /// What they cannot say.
    pub(super) more: More,
    /// Rows and columns of its terminal at the start.
    pub(super) size: Option<(u16, u16)>,
}

/// What no flag can say.
#[derive(Debug, Default, PartialEq)]
pub(super) struct More {
    entrypoint: Option<Vec<String>>,
    cmd: Vec<String>,
    /// `KEY` alone takes the image's variable away: it never means one of this process.
    env: Vec<String>,
    /// A check of its health with its times.
    health: Option<engine::HealthRequest>,
    /// The text of a filter of system calls.
    seccomp: Option<String>,
}

impl More {
    /// The whole request.
    pub(super) fn apply(self, mut request: CreateRequest) -> CreateRequest {
        (request.entrypoint, request.cmd, request.env) = (self.entrypoint, self.cmd, self.env);
        if let Some(health) = self.health {
            request.health = health;
        }
        request.security.seccomp_profile = self.seccomp.or(request.security.seccomp_profile);
        request
    }
}

/// The flags of `create` without a program's name before them.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct Line {
    #[command(flatten)]
    create: CreateArgs,
}

/// Those of `update`.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct UpdateLine {
    #[command(flatten)]
    limits: Limits,
    #[arg(long, value_parser = crate::parse::policy)]
    restart: Option<engine::Policy>,
}

/// Reads the body of a container that is to be made.
///
/// # Errors
/// A field makes no sense, or asks for what cannot be done here.
pub(super) fn read(body: &Map<String, Value>, name: Option<&str>) -> Result<Asked, Refusal> {
    let (mut words, mut more) = (Words::default(), More::default());
    if let Some(name) = name {
        words.flag("name", name);
    }
    let image = match body.get("Image").and_then(Value::as_str).filter(|image| !image.is_empty()) {
        Some(image) => image.to_owned(),
        None => return Err(Refusal("Image: an image is needed".to_owned())),
    };
    words.table(config::TABLE, body, "")?;
    config::more(body, &mut more)?;
    let none = Map::new();
    let part = |key: &str| match body.get(key) {
        None | Some(Value::Null) => Ok(&none),
        Some(value) => value.as_object().ok_or_else(|| Refusal(format!("{key}: it is no object"))),
    };
    let host = part("HostConfig")?;
    words.table(host::TABLE, host, "HostConfig.")?;
    if host.get("LogConfig").and_then(|log| log["Type"].as_str()).is_none_or(str::is_empty) {
        // Docker's own: some clients ask for the output of a run only where it is kept so.
        words.flag("log-driver", LOG_DRIVER);
    }
    config::volumes(body, host, &mut words)?;
    host::networks(host, part("NetworkingConfig")?, &mut words)?;
    more.seccomp = host::security(host, &mut words)?;
    let size = host.get("ConsoleSize").and_then(host::size);
    // Behind all flags, whatever they begin with.
    let line = words.done().into_iter().chain(["--".to_owned(), image.clone()]);
    let Line { create } = Line::try_parse_from(line).map_err(|error| words::refused(&error))?;
    Ok(Asked { image, args: create, more, size })
}

/// Reads what is to change.
///
/// # Errors
/// As [`read`], and for what cannot be changed.
pub(super) fn change(body: &Map<String, Value>) -> Result<Change, Refusal> {
    let mut words = Words::default();
    words.table(host::UPDATE, body, "")?;
    let UpdateLine { limits, restart } = UpdateLine::try_parse_from(words.done()).map_err(|error| words::refused(&error))?;
    let change = Change { resources: limits.resources(), restart, ..Change::default() };
    Ok(change)
}

/// The flags of `network create`.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct NetworkLine {
    #[command(flatten)]
    args: crate::verbs::network::create::Args,
}

/// Reads the body of a network that is to be made.
///
/// # Errors
/// As [`read`].
pub(super) fn network(body: &Map<String, Value>) -> Result<NetworkRequest, Refusal> {
    let name = body.get("Name").and_then(Value::as_str).filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Refusal("Name: a name is needed".to_owned()))?;
    let mut words = Words::default();
    words.table(network::TABLE, body, "")?;
    let line = words.done().into_iter().chain(["--".to_owned(), name.to_owned()]);
    let NetworkLine { args } = NetworkLine::try_parse_from(line).map_err(|error| words::refused(&error))?;
    args.request().map_err(|error| Refusal(crate::exit::chain(&error)))
}

#[cfg(test)]
mod tests;
