//! What happens to containers and the like, for whoever wants to know: a file on the tmpfs of what runs, one line an event, in the form of
//! Docker's API. Whoever does something appends to it; there is nobody in between.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use launch::Nanos;
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, fstat, openat, rename, stat};
use serde::{Deserialize, Serialize};
use sys::{Call, Result};

/// The file's name; the one before has a `.1` behind it.
pub const FILE: &str = "events";
/// Bytes after which another file is begun.
const LONG: u64 = 1 << 20;

/// One event, under the names of Docker's API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happened {
    /// The action, for containers and images.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// The same as the actor's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The image of a container.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// `container`, `image`, `network`, `pod` or `volume`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// What has happened to it.
    #[serde(rename = "Action")]
    pub action: String,
    /// To what.
    #[serde(rename = "Actor")]
    pub actor: Actor,
    /// Where: here.
    pub scope: String,
    /// Seconds since 1970.
    pub time: u64,
    /// Nanoseconds since 1970.
    #[serde(rename = "timeNano")]
    pub nanos: Nanos,
}

/// To what something happens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Its id, or name.
    #[serde(rename = "ID")]
    pub id: String,
    /// What is known of it: name, image and labels of a container, and what belongs to the event.
    #[serde(rename = "Attributes")]
    pub attributes: BTreeMap<String, String>,
}

/// Something that a container uses while it runs: a network, a volume. Both have events of their own for that.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// `network` or `volume`.
    pub kind: String,
    /// What happens to it with the container's start, and with its end.
    pub words: [String; 2],
    /// It, and what is told of it.
    pub actor: Actor,
}

impl Used {
    /// It begins to be used.
    pub fn begins(&self) -> Happened {
        Happened::now(&self.kind, &self.words[0], self.actor.clone())
    }

    /// It is used no more.
    pub fn ends(&self) -> Happened {
        Happened::now(&self.kind, &self.words[1], self.actor.clone())
    }
}

impl Happened {
    /// An event of now.
    pub fn now(kind: &str, action: &str, actor: Actor) -> Self {
        let nanos = crate::now();
        let known = matches!(kind, "container" | "image");
        let of = |text: &str| if known { text.to_owned() } else { String::new() };
        let from = if kind == "container" { actor.attributes.get("image").cloned().unwrap_or_default() } else { String::new() };
        Happened {
            status: of(action),
            id: of(&actor.id),
            from,
            kind: kind.to_owned(),
            action: action.to_owned(),
            actor,
            scope: "local".to_owned(),
            time: nanos / 1_000_000_000,
            nanos,
        }
    }
}

/// Appends events to the file `path`: one write, so that the lines of those who write at the same time do not mix (write(2), O_APPEND).
///
/// # Errors
/// Those of open(2) and write(2). The events are lost then.
pub fn append(path: &Path, events: &[Happened]) -> Result<()> {
    appended(path, events).map(drop)
}

fn appended(path: &Path, events: &[Happened]) -> Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(CWD, path, flags, Mode::from_raw_mode(0o600)).call(|| format!("open({path:?}, O_APPEND)"))?;
    let mut lines = Vec::new();
    for event in events {
        lines.extend(serde_json::to_vec(event).unwrap_or_default());
        lines.push(b'\n');
    }
    sys::fs::write_all(&file, &lines)?;
    Ok(file)
}

/// [`append`], by somebody who has time to look whether another file should be begun.
///
/// # Errors
/// As [`append`].
pub fn append_and_rotate(path: &Path, events: &[Happened]) -> Result<()> {
    let file = appended(path, events)?;
    let own = fstat(&file).call(|| "fstat(events)")?;
    if (own.st_size as u64) < LONG {
        return Ok(());
    }
    // Of several who have seen it only one renames it: the others find another file.
    flock(&file, FlockOperation::LockExclusive).call(|| "flock(events)")?;
    if stat(path).is_ok_and(|now| (now.st_dev, now.st_ino) == (own.st_dev, own.st_ino)) {
        rename(path, before(path)).call(|| "rename(events)")?;
    }
    Ok(())
}

/// The file before the one at `path`.
pub fn before(path: &Path) -> PathBuf {
    path.with_extension("1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(action: &str) -> Happened {
        let attributes = [("image".to_owned(), "busybox".to_owned())].into();
        Happened::now("container", action, Actor { id: "7".to_owned(), attributes })
    }

    #[test]
    fn a_line_has_the_form_of_docker() {
        let text = serde_json::to_string(&Happened { time: 1, nanos: 2, ..event("start") }).unwrap();
        let expected = r#"{"status":"start","id":"7","from":"busybox","Type":"container","Action":"start","Actor":{"ID":"7","Attributes":{"image":"busybox"}},"scope":"local","time":1,"timeNano":2}"#;
        assert_eq!(text, expected);
        let network = Happened::now("network", "create", Actor::default());
        assert!(network.status.is_empty() && network.from.is_empty());
    }

    #[test]
    fn several_are_one_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let used = Used { kind: "volume".to_owned(), words: ["mount".to_owned(), "unmount".to_owned()], actor: Actor::default() };
        append(&path, &[used.begins(), event("start"), used.ends()]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let actions: Vec<String> = text.lines().map(|line| serde_json::from_str::<Happened>(line).unwrap().action).collect();
        assert_eq!(actions, ["mount", "start", "unmount"]);
    }

    #[test]
    fn a_long_file_is_followed_by_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        append_and_rotate(&path, &[event("one")]).unwrap();
        let line = std::fs::read(&path).unwrap();
        std::fs::write(&path, line.repeat(LONG as usize / line.len() + 1)).unwrap();
        append_and_rotate(&path, &[event("two")]).unwrap();
        append_and_rotate(&path, &[event("three")]).unwrap();
        assert!(std::fs::read_to_string(before(&path)).unwrap().contains("two"));
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
    }
}
