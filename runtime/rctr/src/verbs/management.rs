//! `rctr image …` and `rctr container …`: the verbs under the names of Docker's management commands.

use clap::Subcommand;

use super::{
    attach, build, check, commit, container_prune, copy, cp, create, diff, exec, exists, export, history, images, import, inspect,
    kill, load, logs, mount, pause, port, prune, ps, pull, push, rename, restart, rm, rmi, run, save, scp, start, stats, stop,
    sync, tag, top, unmount, update, wait,
};
use crate::cli::Verb;

/// Work with images
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Image {
    #[command(visible_alias = "list")]
    Ls(images::Args),
    #[command(visible_alias = "remove")]
    Rm(rmi::Args),
    Inspect(inspect::OfImage),
    Exists(exists::Args),
    Prune(prune::Args),
    Tag(tag::Args),
    History(history::Args),
    Pull(pull::Args),
    Push(push::Args),
    Copy(copy::Args),
    Save(save::Args),
    Scp(scp::Args),
    Load(load::Args),
    Import(import::Args),
    Build(Box<build::Args>),
    Mount(mount::Args),
    #[command(visible_alias = "umount")]
    Unmount(unmount::Args),
    Check(check::Args),
    Sync(sync::Args),
}

impl From<Image> for Verb {
    fn from(image: Image) -> Self {
        match image {
            Image::Ls(args) => Verb::Images(args),
            Image::Rm(args) => Verb::Rmi(args),
            Image::Inspect(args) => Verb::Inspect(args.image()),
            Image::Exists(args) => Verb::Exists(exists::Kind::Image, args),
            Image::Prune(args) => Verb::Prune(args),
            Image::Tag(args) => Verb::Tag(args),
            Image::History(args) => Verb::History(args),
            Image::Pull(args) => Verb::Pull(args),
            Image::Push(args) => Verb::Push(args),
            Image::Copy(args) => Verb::Copy(args),
            Image::Save(args) => Verb::Save(args),
            Image::Scp(args) => Verb::Scp(args),
            Image::Load(args) => Verb::Load(args),
            Image::Import(args) => Verb::Import(args),
            Image::Build(args) => Verb::Build(args),
            Image::Mount(args) => Verb::Mount(args),
            Image::Unmount(args) => Verb::Unmount(args),
            Image::Check(args) => Verb::Check(args),
            Image::Sync(args) => Verb::Sync(args),
        }
    }
}

/// Work with containers
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Container {
    Run(Box<run::Args>),
    Create(Box<create::Args>),
    Start(start::Args),
    Stop(stop::Args),
    Kill(kill::Args),
    #[command(visible_alias = "remove")]
    Rm(rm::Args),
    #[command(visible_aliases = ["list", "ps"])]
    Ls(ps::Args),
    Logs(logs::Args),
    Exec(exec::Args),
    Wait(wait::Args),
    Attach(attach::Args),
    Top(top::Args),
    Stats(stats::Args),
    Port(port::Args),
    Rename(rename::Args),
    Restart(restart::Args),
    Pause(pause::Args),
    Unpause(pause::Unpause),
    Update(Box<update::Args>),
    Prune(container_prune::Args),
    Commit(commit::Args),
    Cp(cp::Args),
    Diff(diff::Args),
    Export(export::Args),
    Inspect(inspect::One),
    Exists(exists::Args),
}

impl From<Container> for Verb {
    fn from(container: Container) -> Self {
        match container {
            Container::Run(args) => Verb::Run(args),
            Container::Create(args) => Verb::Create(args),
            Container::Start(args) => Verb::Start(args),
            Container::Stop(args) => Verb::Stop(args),
            Container::Kill(args) => Verb::Kill(args),
            Container::Rm(args) => Verb::Rm(args),
            Container::Ls(args) => Verb::Ps(args),
            Container::Logs(args) => Verb::Logs(args),
            Container::Exec(args) => Verb::Exec(args),
            Container::Wait(args) => Verb::Wait(args),
            Container::Attach(args) => Verb::Attach(args),
            Container::Top(args) => Verb::Top(args),
            Container::Stats(args) => Verb::Stats(args),
            Container::Port(args) => Verb::Port(args),
            Container::Rename(args) => Verb::Rename(args),
            Container::Restart(args) => Verb::Restart(args),
            Container::Pause(args) => Verb::Pause(args),
            Container::Unpause(args) => Verb::Unpause(args),
            Container::Update(args) => Verb::Update(*args),
            Container::Prune(args) => Verb::ContainerPrune(args),
            Container::Commit(args) => Verb::Commit(args),
            Container::Cp(args) => Verb::Cp(args),
            Container::Diff(args) => Verb::Diff(args),
            Container::Export(args) => Verb::Export(args),
            Container::Inspect(args) => Verb::Inspect(args.of("container")),
            Container::Exists(args) => Verb::Exists(exists::Kind::Container, args),
        }
    }
}

/// Build images, under the name of Docker's plugin
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Buildx {
    #[command(visible_alias = "b")]
    Build(Box<build::Args>),
}

impl From<Buildx> for Verb {
    fn from(buildx: Buildx) -> Self {
        let Buildx::Build(args) = buildx;
        Verb::Build(args)
    }
}
