//! `rctr image scp`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, bail};
use images::{LoadOptions, Reference, SaveOptions};

use super::sync;
use crate::context::{Context, policy};
use crate::output::{progress, told};
use crate::remote::{Host, THERE};

/// Copy an image from or to another host by ssh, without a registry; rctr has to be there, and the user to be root
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    /// [[USER@]HOST::]IMAGE: what is copied, and where it is
    #[arg(value_parser = source)]
    source: (Option<Host>, String),
    /// [USER@]HOST::, where it goes; without it this host
    #[arg(value_parser = target)]
    target: Option<Host>,
}

fn source(text: &str) -> Result<(Option<Host>, String), String> {
    let (place, image) = match text.split_once("::") {
        Some((place, image)) => (Some(Host::named(place)?), image),
        None => (None, text),
    };
    if place.is_some() {
        // It goes through a shell there, to which nothing in a name means anything.
        image.parse::<Reference>().map_err(|error| error.to_string())?;
    }
    Ok((place, image.to_owned()))
}

fn target(text: &str) -> Result<Host, String> {
    match text.split_once("::") {
        Some((place, "")) => Host::named(place),
        Some(_) => Err("an image keeps its name: give [USER@]HOST:: alone".to_owned()),
        None => Err("give the host as [USER@]HOST::".to_owned()),
    }
}

/// Copies the image. What it is called there is said as `load` says it.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let Args { quiet, source: (from, image), target } = args;
    match (from, target) {
        (None, None) => bail!("image scp: neither end is another host: give one as [USER@]HOST::"),
        (None, Some(to)) => send(context, &image, &to, quiet)?,
        (Some(from), None) => fetch(context, &from, &image, quiet)?,
        (Some(from), Some(to)) => {
            let mut saving = ssh(&from, &["save", &image], Stdio::null(), Stdio::piped())?;
            let archive = saving.stdout.take().map_or_else(Stdio::null, Stdio::from);
            let loading = ssh(&to, &["load", "-q"], archive, Stdio::inherit())?;
            ended(&from, saving)?;
            ended(&to, loading)?;
        }
    }
    Ok(0)
}

fn send(context: &Context, image: &str, to: &Host, quiet: bool) -> Result<()> {
    let images::PullOptions { registries, credentials, .. } = context.pull_options(None)?;
    let options = SaveOptions { registries, credentials, platforms: Vec::new() };
    let engine = context.engine()?;
    // Or ssh would ask for a password for nothing.
    engine.images().image(image)?;
    let mut loading = ssh(to, &["load", "-q"], Stdio::piped(), Stdio::inherit())?;
    // One that ends early is an error like any other.
    sys::signal::block(&[rustix::process::Signal::PIPE.as_raw()])?;
    let saved = match loading.stdin.take() {
        Some(stdin) => {
            let mut out = BufWriter::with_capacity(1 << 18, stdin);
            let progress = progress::shown(progress::SAVE, quiet);
            let saved = images::save(engine.images(), &[image.to_owned()], &options, &mut out, progress.as_ref());
            saved.and_then(|()| out.flush().map_err(images::Error::WriteArchive))
        }
        None => Ok(()),
    };
    // What was said there is why nothing more was taken.
    ended(to, loading)?;
    saved?;
    told::image(&engine, "save", image, image);
    Ok(())
}

fn fetch(context: &Context, from: &Host, image: &str, quiet: bool) -> Result<()> {
    let engine = context.engine()?;
    let mut saving = ssh(from, &["save", image], Stdio::null(), Stdio::piped())?;
    let Some(archive) = saving.stdout.take() else { return ended(from, saving) };
    let archive = File::from(OwnedFd::from(archive));
    let progress = progress::shown(progress::LOAD, quiet);
    let options = LoadOptions { policy: policy()?, ..LoadOptions::default() };
    let loaded = images::load(engine.images(), archive, &options, progress.as_ref());
    // An archive that makes no sense is mostly one that was not written.
    ended(from, saving)?;
    for loaded in loaded? {
        told::image(&engine, "load", loaded.image.id.as_str(), loaded.image.id.as_str());
        loaded.image.names.iter().map(Reference::familiar).for_each(|name| println!("Loaded image: {name}"));
        if loaded.fresh {
            sync::behind(context)?;
        }
    }
    Ok(())
}

/// `rctr VERB` on a host.
fn ssh(host: &Host, verb: &[&str], stdin: Stdio, stdout: Stdio) -> Result<Child> {
    let mut command = host.ssh();
    command.args(["-T", "--", &host.name]).args(THERE).args(verb).stdin(stdin).stdout(stdout);
    command.spawn().context("ssh, by which other hosts are reached")
}

fn ended(host: &Host, mut child: Child) -> Result<()> {
    let status = child.wait().context("wait for ssh")?;
    if !status.success() {
        bail!("rctr on {} by ssh: {status}", host.name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_an_image_is() {
        let parsed = |text: &str| source(text).map(|(host, image)| (host.map(|host| host.name), image)).unwrap();
        assert_eq!(parsed("a/b:v1"), (None, "a/b:v1".to_owned()));
        assert_eq!(parsed("root@web1::a/b:v1"), (Some("root@web1".to_owned()), "a/b:v1".to_owned()));
        for wrong in ["::a", "-oProxyCommand=x::a", "h::", "h::a;reboot", "a b::c"] {
            assert!(source(wrong).is_err(), "{wrong}");
        }
        assert_eq!(target("h::").unwrap().name, "h");
        assert!(target("h").is_err() && target("h::x").is_err() && target("-x::").is_err());
    }
}
