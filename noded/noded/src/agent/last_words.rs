//! Last words of containers: what a program leaves in `terminationMessagePath`, or else the end of its log.
//!
//! Each start of a container has a file of its own, in a folder of the pod whose name no volume can have.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use api::kinds::pod::Pod;
use api::kinds::pod::container::Container;
use cri::{ContainerState, ContainerStatus};

use super::actual::{attempt_of, name_of};
use super::wanted::Place;
use crate::node::Node;

/// Bytes of a container's file that count, its last ones; and of those that all containers of a pod have together. Both are the kubelet's.
const FILE: u64 = 4096;
const POD: usize = 12 << 10;

/// Bytes and lines of a log that stand in for it.
const LOG: usize = 2048;
const LINES: u64 = 80;

/// The files of a pod. Volumes are labels of DNS, which have no dot.
const FOLDER: &str = ".last-words";

fn path(place: &Place, uid: &str, name: &str, attempt: u32) -> PathBuf {
    place.disk.join(uid).join(FOLDER).join(format!("{name}.{attempt}"))
}

/// Makes the file of a container that is to start, which is mounted at the path that it asks for; nothing where it asks for none.
pub(super) fn make(place: &Place, uid: &str, spec: &Container, attempt: u32) -> io::Result<Option<cri::Mount>> {
    if spec.termination_message_path.is_empty() {
        return Ok(None);
    }
    let path = path(place, uid, &spec.name, attempt);
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o666).open(&path)?;
    // Whoever the program runs as writes to it, whatever the umask here is.
    file.set_permissions(fs::Permissions::from_mode(0o666))?;
    let container_path = match spec.termination_message_path.as_str() {
        path if path.starts_with('/') => path.to_owned(),
        path => format!("/{path}"),
    };
    Ok(Some(cri::Mount { container_path, host_path: path.display().to_string(), ..cri::Mount::default() }))
}

/// The last words of all containers of a pod that have ended, by id. What is `known` is not looked for again.
pub(super) fn all(
    (node, place, pod): (&Node, &Place, &Pod),
    containers: &[ContainerStatus],
    known: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let new = |seen: &&ContainerStatus| seen.state() == ContainerState::ContainerExited && !known.contains_key(&seen.id);
    let words = |seen: &ContainerStatus| {
        let file = path(place, &pod.metadata.uid, name_of(seen), attempt_of(seen));
        let words = of(policy(pod, name_of(seen)), seen.exit_code, read(&file), || log(node, &seen.id));
        (seen.id.clone(), words)
    };
    containers.iter().filter(new).map(words).collect()
}

fn policy<'a>(pod: &'a Pod, name: &str) -> &'a str {
    let own = pod.spec.containers.iter().chain(&pod.spec.init_containers);
    let own = own.map(|one| (&one.name, &one.termination_message_policy));
    let added = pod.spec.ephemeral_containers.iter().map(|one| (&one.name, &one.termination_message_policy));
    own.chain(added).find(|(other, _)| *other == name).map_or("", |(_, policy)| policy)
}

/// A log stands in only where the program failed and has said nothing.
fn of(policy: &str, code: i32, file: io::Result<String>, log: impl FnOnce() -> String) -> String {
    let file = match file {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return format!("Error on reading termination log: {error}"),
        Ok(text) => text,
    };
    if file.is_empty() && policy == "FallbackToLogsOnError" && code != 0 { log() } else { file }
}

/// The end of a file, as text.
fn read(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(FILE)))?;
    let mut bytes = Vec::new();
    file.take(FILE).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn log(node: &Node, id: &str) -> String {
    let wanted = engine::LogOptions { follow: false, tail: Some(LINES), since: None, until: None };
    let Ok(mut lines) = node.engine().logs(id, &wanted) else { return String::new() };
    let mut bytes = Vec::new();
    while let Some(Ok(line)) = lines.next() {
        bytes.extend_from_slice(&line.bytes);
        if !line.partial {
            bytes.push(b'\n');
        }
        // Lines may be of any length: no more is kept than is said in the end.
        let more = bytes.len().saturating_sub(LOG);
        bytes.drain(..more);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What is said of a container's end: what the runtime says, and what it has said itself.
pub(super) fn joined(message: &str, words: &str) -> String {
    match (message, words) {
        ("", words) => words.to_owned(),
        (message, "") => message.to_owned(),
        (message, words) => format!("{message}: {words}"),
    }
}

/// As much of it as a container of this pod has room for in the pod's status.
pub(super) fn fitting(pod: &Pod, message: &str) -> String {
    let spec = &pod.spec;
    let count = spec.containers.len() + spec.init_containers.len() + spec.ephemeral_containers.len();
    message[..message.floor_char_boundary(POD / count.max(1))].to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::wanted::tests::place;
    use super::*;

    #[test]
    fn the_end_of_the_file_counts() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place { disk: folder.path().to_owned(), ..place() };
        let spec = |path: &str| Container { name: "a".into(), termination_message_path: path.into(), ..Container::default() };
        let mount = make(&place, "u", &spec("dev/termination-log"), 3).unwrap().unwrap();
        assert_eq!((mount.container_path.as_str(), mount.readonly), ("/dev/termination-log", false));
        assert_eq!(fs::metadata(&mount.host_path).unwrap().permissions().mode() & 0o777, 0o666);
        assert_eq!(read(Path::new(&mount.host_path)).unwrap(), "");
        fs::write(&mount.host_path, format!("{}{}", "x".repeat(100), "y".repeat(4096))).unwrap();
        assert_eq!(read(&path(&place, "u", "a", 3)).unwrap(), "y".repeat(4096));
        // A new start has a new file, and one that is begun again an empty one.
        make(&place, "u", &spec("/t"), 3).unwrap();
        assert_eq!(read(Path::new(&mount.host_path)).unwrap(), "");
        assert!(make(&place, "u", &spec(""), 0).unwrap().is_none());
    }

    #[test]
    fn logs_stand_in_for_who_fails_without_a_word() {
        let words = |policy, code, file: &str| of(policy, code, Ok(file.to_owned()), || "log".to_owned());
        assert_eq!(words("File", 1, ""), "");
        assert_eq!(words("FallbackToLogsOnError", 1, ""), "log");
        assert_eq!(words("FallbackToLogsOnError", 0, ""), "");
        assert_eq!(words("FallbackToLogsOnError", 1, "own"), "own");
        let missing = of("FallbackToLogsOnError", 1, Err(io::ErrorKind::NotFound.into()), || "log".to_owned());
        assert_eq!(missing, "log", "its pod was made by an agent that made no such files");
        assert_eq!((joined("", "w"), joined("m", ""), joined("m", "w")), ("w".into(), "m".into(), "m: w".into()));
    }

    #[test]
    fn a_pod_has_so_much_room() {
        let pod = |count: usize| -> Pod {
            let containers: Vec<_> = (0..count).map(|n| json!({"name": format!("c{n}")})).collect();
            serde_json::from_value(json!({"spec": {"containers": containers}})).unwrap()
        };
        let long = "é".repeat(4096);
        assert_eq!(fitting(&pod(1), &long).len(), 8192);
        assert_eq!(fitting(&pod(5), &long).len(), 2456, "2457 bytes would be half a letter");
        assert_eq!(fitting(&pod(5), "short"), "short");
    }
}
