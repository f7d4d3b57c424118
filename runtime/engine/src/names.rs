//! Ids and names. A name is a symbolic link `names/NAME -> ../containers/ID`, made in one step, so two containers
//! never share one; a link whose container is gone counts as free.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::symlink;
use std::path::Path;

use sys::Call;

use crate::Error;
use crate::config::Config;
use crate::error::During;

/// 64 random hexadecimal digits of which the first twelve are not all decimal, so that a short id is never taken for a number.
pub fn new_id() -> Result<String, Error> {
    let mut random = fs::File::open("/dev/urandom").call(|| "open(\"/dev/urandom\")").during(|| "make an id")?;
    loop {
        let mut bytes = [0; 32];
        random.read_exact(&mut bytes).call(|| "read(\"/dev/urandom\")").during(|| "make an id")?;
        let id: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        if id[..12].bytes().any(|digit| digit.is_ascii_alphabetic()) {
            return Ok(id);
        }
    }
}

/// Whether a container can have this name: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`, at most 128 bytes.
///
/// # Errors
/// [`Error::BadName`].
pub fn check(name: &str) -> Result<(), Error> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let rest = bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if first && rest && name.len() <= 128 { Ok(()) } else { Err(Error::BadName(name.to_owned())) }
}

/// A name for a container that was given none, made from its id.
pub(crate) fn made_up(id: &str) -> String {
    const FIRST: [&str; 32] = [
        "amber", "brave", "brisk", "calm", "clear", "clever", "cosy", "crisp", "eager", "early", "fair", "fond", "fresh", "gentle",
        "glad", "grand", "happy", "jolly", "keen", "kind", "light", "lively", "lucid", "merry", "neat", "noble", "quick", "quiet",
        "steady", "sunny", "warm", "witty",
    ];
    const SECOND: [&str; 32] = [
        "badger", "beaver", "bison", "crane", "dolphin", "eagle", "falcon", "finch", "fox", "gull", "hare", "hawk", "heron",
        "ibis", "kiwi", "lark", "lynx", "magpie", "marten", "mole", "moose", "otter", "owl", "panda", "puffin", "raven", "robin",
        "seal", "stork", "swan", "tern", "wren",
    ];
    let pick = |at: usize| usize::from_str_radix(&id[at..at + 4], 16).unwrap_or(0);
    format!("{}_{}_{}", FIRST[pick(0) % 32], SECOND[pick(4) % 32], &id[8..12])
}

/// Takes `name` for the container `id`.
pub(crate) fn claim(config: &Config, name: &str, id: &str) -> Result<(), Error> {
    let link = config.names().join(name);
    let target = format!("../containers/{id}");
    for _ in 0..8 {
        match symlink(&target, &link) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error).call(|| format!("symlink({target:?}, {link:?})")).during(|| format!("take the name {name:?}"));
            }
        }
        match holder(config, name) {
            Some(other) => return Err(Error::NameInUse { name: name.to_owned(), id: other[..12.min(other.len())].to_owned() }),
            None => remove_stale(config, name),
        }
    }
    Err(Error::NameInUse { name: name.to_owned(), id: "another process".to_owned() })
}

/// Removes a name whose container is gone. Under the lock of the folder of names: or of two processes that find it stale, one would
/// remove what the other has taken meanwhile.
fn remove_stale(config: &Config, name: &str) {
    let Ok(names) = fs::File::open(config.names()) else { return };
    let link = config.names().join(name);
    if names.lock().is_ok() && target(&link).is_some() && holder(config, name).is_none() {
        let _ = fs::remove_file(link);
    }
}

/// Gives `name` back if `id` has it.
pub(crate) fn release(config: &Config, name: &str, id: &str) {
    let link = config.names().join(name);
    if target(&link).as_deref() == Some(id) {
        let _ = fs::remove_file(link);
    }
}

/// Takes away whatever names a container has.
pub(crate) fn release_all(config: &Config, id: &str) {
    for link in fs::read_dir(config.names()).into_iter().flatten().flatten() {
        if target(&link.path()).as_deref() == Some(id) {
            let _ = fs::remove_file(link.path());
        }
    }
}

/// The id of the existing container that has `name`.
pub(crate) fn holder(config: &Config, name: &str) -> Option<String> {
    check(name).ok()?;
    let id = target(&config.names().join(name))?;
    config.container(&id).exists().then_some(id)
}

fn target(link: &Path) -> Option<String> {
    Some(fs::read_link(link).ok()?.file_name()?.to_str()?.to_owned())
}

/// The id meant by a whole id, a name, or the beginning of an id.
pub(crate) fn resolve(config: &Config, given: &str) -> Result<String, Error> {
    let hexadecimal = !given.is_empty() && given.bytes().all(|digit| digit.is_ascii_hexdigit());
    if hexadecimal && given.len() == 64 && config.container(given).exists() {
        return Ok(given.to_owned());
    }
    if let Some(id) = holder(config, given) {
        return Ok(id);
    }
    if !hexadecimal {
        return Err(Error::NoSuchContainer(given.to_owned()));
    }
    let mut matching = all(config)?.into_iter().filter(|id| id.starts_with(given));
    match (matching.next(), matching.count()) {
        (None, _) => Err(Error::NoSuchContainer(given.to_owned())),
        (Some(id), 0) => Ok(id),
        (Some(_), more) => Err(Error::Ambiguous { prefix: given.to_owned(), count: more + 1 }),
    }
}

/// The name by which messages call a container.
pub(crate) fn short(record: &crate::Record) -> String {
    record.name.clone()
}

/// The ids of all containers. Folders being made or removed begin with a dot and are left out.
pub(crate) fn all(config: &Config) -> Result<Vec<String>, Error> {
    let folder = config.containers();
    let listing = sys::fs::open_dir(&folder).and_then(sys::fs::list).during(|| format!("list {}", folder.display()))?;
    Ok(listing.into_iter().filter_map(|name| name.into_string().ok()).filter(|name| !name.starts_with('.')).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["a", "app-1", "A_b.c", "0"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", ".a", "a/b", "a b", "é", &"a".repeat(129)] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(check(&made_up(&new_id().unwrap())).is_ok());
    }
}
