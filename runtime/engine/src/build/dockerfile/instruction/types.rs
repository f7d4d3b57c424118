//! The instructions there are.

use std::time::Duration;

use crate::build::dockerfile::lines::Heredoc;

/// An instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// First and last line, counted from 1.
    pub lines: (usize, usize),
    /// As it was typed, its lines as one.
    pub text: String,
    /// What it says.
    pub kind: Kind,
}

/// What an instruction says. Words still have their variables, quotes and escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `FROM [--platform=P] IMAGE [AS NAME]`
    From(From),
    /// `ARG NAME[=VALUE] …`
    Arg(Vec<(String, Option<String>)>),
    /// `ENV NAME=VALUE …`
    Env(Vec<(String, String)>),
    /// `LABEL NAME=VALUE …`
    Label(Vec<(String, String)>),
    /// `RUN`
    Run(Run),
    /// `COPY`
    Copy(Copy),
    /// `ADD`
    Add(Copy),
    /// `CMD`
    Cmd(Command),
    /// `ENTRYPOINT`
    Entrypoint(Command),
    /// `EXPOSE`: its words.
    Expose(String),
    /// `VOLUME`: its words.
    Volume(Vec<String>),
    /// `USER`
    User(String),
    /// `WORKDIR`
    Workdir(String),
    /// `HEALTHCHECK`
    Healthcheck(Healthcheck),
    /// `SHELL`
    Shell(Vec<String>),
    /// `STOPSIGNAL`
    StopSignal(String),
    /// `ONBUILD`: what is done in whatever is built on the image.
    OnBuild(String),
    /// `MAINTAINER`
    Maintainer(String),
}

/// A program and its arguments, or a line for the shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `["program", "argument"]`
    Exec(Vec<String>),
    /// Anything else.
    Shell(String),
}

/// The beginning of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// An image, an earlier stage, or `scratch`.
    pub image: String,
    /// What later stages call it.
    pub name: Option<String>,
    /// `--platform`
    pub platform: Option<String>,
}

/// `RUN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// What is run.
    pub command: Command,
    /// Its here-documents.
    pub heredocs: Vec<Heredoc>,
    /// `--mount`, as they were typed.
    pub mounts: Vec<String>,
    /// `--network`
    pub network: Option<String>,
    /// `--security`
    pub security: Option<String>,
    /// `--device`, as they were typed.
    pub devices: Vec<String>,
}

/// `COPY` and `ADD`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copy {
    /// What is copied.
    pub sources: Vec<String>,
    /// Where to.
    pub target: String,
    /// Files that are in the Dockerfile itself.
    pub heredocs: Vec<Heredoc>,
    /// `--from`
    pub from: Option<String>,
    /// `--chown`
    pub chown: Option<String>,
    /// `--chmod`
    pub chmod: Option<String>,
    /// `--link`
    pub link: bool,
    /// `--parents`
    pub parents: bool,
    /// `--exclude`
    pub exclude: Vec<String>,
    /// `--checksum`
    pub checksum: Option<String>,
    /// `--keep-git-dir`
    pub keep_git_dir: bool,
    /// `--unpack`
    pub unpack: Option<bool>,
}

/// `HEALTHCHECK`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Healthcheck {
    /// Nothing for `NONE`.
    pub command: Option<Command>,
    /// `--interval`
    pub interval: Option<Duration>,
    /// `--timeout`
    pub timeout: Option<Duration>,
    /// `--start-period`
    pub start_period: Option<Duration>,
    /// `--start-interval`
    pub start_interval: Option<Duration>,
    /// `--retries`
    pub retries: Option<u32>,
}
