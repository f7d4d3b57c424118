//! Static pods: manifests in a folder of this host, which the node runs whether there is a control plane or not.
//!
//! ```text
//! folder ──inotify──▶ look: manifests ──read.rs──▶ pods by uid ──▶ crew/: a worker each
//!                                                       └──▶ mirror.rs ──▶ API: an object each, for others to see
//! ```

mod mirror;
mod read;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use api::kinds::pod::Pod;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use serde_json::Value;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use super::effects::Shared;
use crate::host::log::{Level, say};
use crate::host::readable;

pub(super) use mirror::{Mirrors, keep, key, known, shows};
pub(super) use read::{HASH, MIRROR, SOURCE};

/// The largest manifest that is read.
const MOST: usize = 1 << 20;

/// A folder that cannot be watched is looked at so often.
const AGAIN: Duration = Duration::from_secs(20);

/// Whoever writes several files, or one in several steps, is given so long to go on.
const TOGETHER: Duration = Duration::from_millis(50);

/// Static pods by uid.
pub(super) type Statics = BTreeMap<String, Static>;

/// Whether a pod is one of them. What says so is taken from pods of the API.
pub(super) fn is_static(pod: &Pod) -> bool {
    pod.metadata.annotations.get(SOURCE).is_some_and(|source| source == "file")
}

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Static {
    pub(super) raw: Value,
    pub(super) pod: Arc<Pod>,
}

/// What a look at the folder has found: pods, and files that are none, with the reasons.
#[derive(Debug, Default, PartialEq)]
struct Found {
    pods: Statics,
    broken: BTreeSet<String>,
}

/// The pods of a folder as it is now.
pub(super) fn first(folder: &Path, node: &str) -> watch::Sender<Statics> {
    watch::Sender::new(look(folder, node, &BTreeSet::new()).pods)
}

/// Follows the folder for ever.
pub(super) async fn follow(folder: PathBuf, shared: Arc<Shared>) {
    keep_up(&folder, &shared.place.node, &shared.statics).await;
}

async fn keep_up(folder: &Path, node: &str, to: &watch::Sender<Statics>) {
    let mut broken = BTreeSet::new();
    loop {
        // The watch comes first: what changes during the look is seen by the next one.
        let watched = open(folder).and_then(readable);
        loop {
            let found = look(folder, node, &broken);
            broken = found.broken;
            to.send_if_modified(|old| {
                let is_new = *old != found.pods;
                *old = found.pods;
                is_new
            });
            let Ok(watch) = &watched else {
                // There is no folder yet.
                tokio::time::sleep(AGAIN).await;
                break;
            };
            if changed(watch).await.is_err() {
                break;
            }
            tokio::time::sleep(TOGETHER).await;
        }
    }
}

fn open(folder: &Path) -> io::Result<OwnedFd> {
    let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    let events = WatchFlags::CREATE
        | WatchFlags::CLOSE_WRITE
        | WatchFlags::DELETE
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVED_FROM
        | WatchFlags::MOVED_TO
        | WatchFlags::MOVE_SELF
        | WatchFlags::ONLYDIR;
    inotify::add_watch(&watch, folder, events)?;
    Ok(watch)
}

/// Waits for a change. An error when the folder itself is another one.
async fn changed(watch: &AsyncFd<OwnedFd>) -> io::Result<()> {
    let mut ready = watch.readable().await?;
    let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
    let mut reader = inotify::Reader::new(watch.get_ref(), &mut buffer);
    let mut gone = false;
    while let Ok(event) = reader.next() {
        use rustix::fs::inotify::ReadFlags;
        gone |= event.events().intersects(ReadFlags::IGNORED | ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF);
    }
    ready.clear_ready();
    if gone { Err(ErrorKind::NotFound.into()) } else { Ok(()) }
}

/// Reads all manifests. Each one that is wrong is one line, and said once; the others are not concerned.
fn look(folder: &Path, node: &str, known: &BTreeSet<String>) -> Found {
    let mut found = Found::default();
    let mut names = BTreeMap::new();
    for path in files(folder) {
        let taken = manifest(&path).and_then(|text| read::pod(&text, &path, node)).and_then(|raw| {
            let name = [&raw["metadata"]["namespace"], &raw["metadata"]["name"]].map(ToString::to_string);
            match names.insert(name, path.clone()) {
                Some(other) => Err(format!("{} has a pod of this name", other.display())),
                None => serde_json::from_value(raw.clone())
                    .map(|pod| Static { raw, pod: Arc::new(pod) })
                    .map_err(|error| error.to_string()),
            }
        });
        match taken {
            Ok(one) => drop(found.pods.insert(one.pod.metadata.uid.clone(), one)),
            Err(why) => drop(found.broken.insert(format!("static pod of {}: {why}", path.display()))),
        }
    }
    for line in found.broken.difference(known) {
        say(Level::Error, line, &[]);
    }
    found
}

/// Manifests in the order of their names. Hidden files are none: editors write those.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let shown = entries.filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
    let mut files: Vec<PathBuf> = shown.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

fn manifest(path: &Path) -> Result<String, String> {
    let bytes = fs::File::open(path).map_err(|error| error.to_string());
    let bytes = bytes.and_then(|file| sys::fs::read_all(file, MOST).map_err(|error| error.to_string()))?;
    String::from_utf8(bytes).map_err(|_| "it is no text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str) -> String {
        format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{containers: [{{name: a, image: x}}]}}\n")
    }

    fn names(pods: &Statics) -> Vec<String> {
        let mut names: Vec<String> = pods.values().map(|one| one.pod.metadata.name.clone()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_broken_file_does_not_stop_the_others() {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in
            [("a.yaml", text("a")), ("b.yaml", "{".to_owned()), ("c", text("c")), ("d.yaml", text("a")), (".e.yaml", text("e"))]
        {
            fs::write(folder.path().join(file), text).unwrap();
        }
        fs::create_dir(folder.path().join("folder")).unwrap();
        fs::write(folder.path().join("long"), vec![b' '; MOST + 1]).unwrap();
        let found = look(folder.path(), "n", &BTreeSet::new());
        assert_eq!(names(&found.pods), ["a-n", "c-n"]);
        let broken: Vec<&String> = found.broken.iter().collect();
        assert_eq!(broken.len(), 3);
        assert!(
            broken[0].contains("/b.yaml: ")
                && broken[1].contains("/d.yaml: ")
                && broken[1].contains("a.yaml has a pod of this name"),
            "{broken:?}"
        );
    }

    #[tokio::test]
    async fn changes_are_followed() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("m");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("a"), text("a")).unwrap();
        let sender = first(&folder, "n");
        assert_eq!(names(&sender.borrow()), ["a-n"]);
        let mut pods = sender.subscribe();
        let watched = folder.clone();
        let task = tokio::spawn(async move { keep_up(&watched, "n", &sender).await });
        let mut until = async |expected: &[&str]| {
            let wait = pods.wait_for(|pods| names(pods) == expected);
            assert!(tokio::time::timeout(Duration::from_secs(60), wait).await.is_ok(), "{expected:?}");
        };
        fs::write(folder.join("b"), text("b")).unwrap();
        until(&["a-n", "b-n"]).await;
        fs::rename(folder.join("b"), folder.join(".b")).unwrap();
        until(&["a-n"]).await;
        fs::write(outer.path().join("c"), text("c")).unwrap();
        fs::rename(outer.path().join("c"), folder.join("a")).unwrap();
        until(&["c-n"]).await;
        task.abort();
    }
}
