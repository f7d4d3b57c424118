//! `rctr system reset`.

use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use engine::Engine;

use crate::context::Context;
use crate::exit;
use crate::rootless::Ending;
use crate::verbs::{network, prune, volume};

/// Remove everything that is here: containers and pods, whether they run or not, networks, volumes, images, secrets and what builds remember
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Do not ask
    #[arg(short, long)]
    force: bool,
}

const ALL: &str = "pods, containers, networks, volumes, images, secrets, and what builds remember";

/// Removes it all in the order in which one thing needs another, and then the folders it was in. What cannot be removed is told, and its folder
/// stays.
pub(super) fn run(context: &Context, args: &Args) -> Result<i32> {
    let engine = context.engine()?;
    let (root, run) = (context.root()?, context.run_folder()?);
    let all = format!("{ALL}, in {} and {}", root.display(), run.display());
    if !args.force && !prune::confirmed(&all)? {
        return Ok(0);
    }
    let ending = match engine.config().home {
        None => None,
        Some(_) => Ending::begin(&run)?,
    };
    let code = empty(&engine, &root)?;
    if code != 0 {
        return Ok(code);
    }
    engine.leave_host()?;
    drop(engine);
    [(&root, &engine::Config::IN_ROOT[..]), (&run, &engine::Config::IN_RUN)]
        .into_iter()
        .try_for_each(|(folder, names)| clear(folder, names))?;
    ending.map_or(Ok(()), Ending::finish)?;
    Ok(0)
}

/// Removes what is below the folder of state, and returns the exit code.
fn empty(engine: &Engine, root: &Path) -> Result<i32> {
    let mut code = 0;
    let mut tried = |done: Result<()>| done.unwrap_or_else(|error| code = exit::report(&error));
    for view in engine.views()?.iter().rev() {
        tried(engine.unmount_view(view, true).map_err(Into::into));
    }
    for pod in engine.pods()? {
        tried(engine.remove_pod(&pod.record.id).map_err(Into::into));
    }
    // Those with a damaged record, too.
    for id in names(&root.join("containers"))? {
        tried(match engine.remove(&id, true, true) {
            Err(engine::Error::NoSuchContainer(_)) => Ok(()),
            other => other.map_err(Into::into),
        });
    }
    let networks = network::prune::prune(engine, &|_, _| true)?.code;
    tried(volume::remove_unused(engine, engine.volumes()?.iter()).map(drop));
    for secret in engine.secrets()? {
        tried(engine.secret_remove(&secret.id).map(drop).map_err(Into::into));
    }
    let images = prune::prune(engine, true, &prune::Which::default())?.code;
    tried(engine.prune_builds(Duration::ZERO, true).map(drop).map_err(Into::into));
    Ok(code.max(networks).max(images))
}

/// What is in a folder; nothing if it is not there.
fn names(folder: &Path) -> Result<Vec<String>> {
    match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        all => {
            let all = all.with_context(|| format!("list {}", folder.display()))?;
            Ok(all.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
        }
    }
}

/// Removes from a folder what an engine has there, and the folder if that was all: somebody may have named one that is for other things, too.
fn clear(folder: &Path, names: &[&str]) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let opened = sys::fs::open_dir(folder)?;
    for name in names {
        sys::fs::remove_tree(&opened, name).with_context(|| format!("remove {}", folder.join(name).display()))?;
    }
    let _ = std::fs::remove_dir(folder);
    Ok(())
}
