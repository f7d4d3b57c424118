//! Pods and containers in memory, for those who list them often: what is here is what the folders say.
//!
//! ```text
//! folders ──inotify─┐
//! processes ─pidfd──┴─▶ changes ─▶ what has changed is read again ─▶ a list
//! ```
//!
//! It cannot be behind: the kernel queues a change before the call that makes it returns, whoever makes it, and each list begins with
//! what is queued. What cannot be watched, for want of watches or descriptors, is read again each time.

mod items;
mod watch;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::Errno;

use crate::error::During;
use crate::{Container, Engine, Error, Pod, names, pod, state};
use items::{Item, Items};
use watch::{Folder, Process, Watch};

/// Pods and containers, each in the form in which they are asked for.
#[derive(Debug)]
pub struct Mirror<P, C> {
    state: Mutex<State<P, C>>,
    pod: fn(Pod) -> P,
    container: fn(Container) -> Option<C>,
}

/// What is in memory.
#[derive(Debug)]
struct State<P, C> {
    /// None before the first list, and where nothing can be watched.
    watch: Option<Watch>,
    pods: Items<P>,
    containers: Items<C>,
}

impl<P, C> Mirror<P, C> {
    /// One that is empty, and reads everything when it is asked first. `pod` and `container` make of each what is kept; of a container that
    /// is not to be listed nothing is.
    pub fn new(pod: fn(Pod) -> P, container: fn(Container) -> Option<C>) -> Mirror<P, C> {
        let state = State { watch: None, pods: Items::default(), containers: Items::default() };
        Mirror { state: Mutex::new(state), pod, container }
    }

    /// All pods of `engine`, newest first, but for those whose record is damaged. It is the same engine each time.
    ///
    /// # Errors
    /// As [`Engine::pods`].
    pub fn pods(&self, engine: &Engine) -> Result<Vec<Arc<P>>, Error> {
        self.listed(engine, |state| state.pods.newest(|_| true))
    }

    /// All containers that are kept, newest first.
    ///
    /// # Errors
    /// As [`Engine::containers`].
    pub fn containers(&self, engine: &Engine) -> Result<Vec<Arc<C>>, Error> {
        self.listed(engine, |state| state.containers.newest(|_| true))
    }

    /// Those of one pod, by its whole id.
    ///
    /// # Errors
    /// As [`Engine::containers`].
    pub fn containers_of(&self, engine: &Engine, pod: &str) -> Result<Vec<Arc<C>>, Error> {
        self.listed(engine, |state| state.containers.newest(|item| item.pod.as_deref() == Some(pod)))
    }

    fn listed<T>(&self, engine: &Engine, list: impl FnOnce(&State<P, C>) -> T) -> Result<T, Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let read = self.refresh(&mut state, engine);
        // Half of what has changed may be read by now: the next list begins anew.
        read.inspect_err(|_| state.watch = None)?;
        Ok(list(&state))
    }

    /// Reads what has changed.
    fn refresh(&self, state: &mut State<P, C>, engine: &Engine) -> Result<(), Error> {
        let changes = state.watch.as_mut().and_then(|watch| watch.changes().ok()).filter(|changes| !changes.lost);
        let Some(changes) = changes else { return self.rebuild(state, engine) };
        let pods = changes.pods.into_iter().chain(state.pods.unsure()).collect::<BTreeSet<_>>();
        let containers = changes.containers.into_iter().chain(state.containers.unsure()).collect::<BTreeSet<_>>();
        pods.iter().for_each(|id| self.look_at_pod(state, engine, id));
        containers.iter().for_each(|id| self.look_at_container(state, engine, id));
        Ok(())
    }

    /// Reads everything.
    fn rebuild(&self, state: &mut State<P, C>, engine: &Engine) -> Result<(), Error> {
        (state.watch, state.pods, state.containers) = (watch_all(engine)?, Items::default(), Items::default());
        // What comes from here on is told.
        pod::all(&engine.config)?.iter().for_each(|id| self.look_at_pod(state, engine, id));
        names::all(&engine.config)?.iter().for_each(|id| self.look_at_container(state, engine, id));
        Ok(())
    }

    fn look_at_pod(&self, state: &mut State<P, C>, engine: &Engine, id: &str) {
        let config = &engine.config;
        // It is watched before it is read. One that gets its runtime folder later is told of by the folder of all of these.
        let watched = watched(&mut state.watch, &[config.pod(id), config.pod_runtime(id)], &Folder::Pod(id.to_owned()));
        let item = match pod::load(config, id) {
            Ok(None) => None,
            Ok(Some(pod)) => Some(Item { created: pod.record.created, value: Some(Arc::new((self.pod)(pod))), ..Item::default() }),
            Err(error) => Some(Item { sure: damaged(&error), ..Item::default() }),
        };
        state.pods.put(&mut state.watch, id, item, watched);
    }

    fn look_at_container(&self, state: &mut State<P, C>, engine: &Engine, id: &str) {
        let config = &engine.config;
        let watched = watched(&mut state.watch, &[config.container(id)], &Folder::Container(id.to_owned()));
        let item = match state::load(config, id) {
            Ok(None) => None,
            Ok(Some(container)) => {
                let (sure, process) = lasting(&mut state.watch, &container);
                let (created, pod) = (container.record.created, container.record.pod.as_ref().map(|member| member.pod.clone()));
                let value = (self.container)(container).map(Arc::new);
                Some(Item { value, created, pod, sure, process, folders: Vec::new() })
            }
            Err(error) => Some(Item { sure: damaged(&error), ..Item::default() }),
        };
        state.containers.put(&mut state.watch, id, item, watched);
    }
}

/// A record that cannot be read stays like that until it is written anew. Other errors may pass by themselves.
fn damaged(error: &Error) -> bool {
    matches!(error, Error::Damaged { .. })
}

/// The folders above all others. Without a watch on each of them nothing is watched.
fn watch_all(engine: &Engine) -> Result<Option<Watch>, Error> {
    let config = &engine.config;
    let all = [(config.pods(), Folder::Pods), (config.run.join("pods"), Folder::Pods), (config.containers(), Folder::Containers)];
    for (folder, _) in &all {
        crate::create::folder(folder).during(|| format!("make the folder {}", folder.display()))?;
    }
    let watch = || {
        let mut watch = Watch::new()?;
        all.into_iter().try_for_each(|(path, folder)| watch.folder(&path, folder).map(drop))?;
        sys::Result::Ok(watch)
    };
    Ok(watch().ok())
}

/// Watches the folders that are there; their numbers, and whether all of them are watched.
fn watched(watch: &mut Option<Watch>, paths: &[PathBuf], folder: &Folder) -> (Vec<i32>, bool) {
    let Some(watch) = watch else { return (Vec::new(), false) };
    let (mut numbers, mut all) = (Vec::new(), true);
    for path in paths {
        match watch.folder(path, folder.clone()) {
            Ok(number) => numbers.push(number),
            Err(error) => all &= error.errno() == Errno::NOENT,
        }
    }
    (numbers, all)
}

/// Whether nothing but a change of its files changes what a container does, and what tells otherwise: a process may end without its monitor,
/// and a pause before a restart may not.
fn lasting(watch: &mut Option<Watch>, container: &Container) -> (bool, Option<Process>) {
    match (watch, container.process()) {
        (Some(watch), Some((pid, start_time))) => {
            let process = watch.process(&container.record.id, pid, start_time).ok();
            (process.is_some(), process)
        }
        (None, Some(_)) => (false, None),
        (_, None) => (!container.is_running(), None),
    }
}

#[cfg(test)]
mod tests;
