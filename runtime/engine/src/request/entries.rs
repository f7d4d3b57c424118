//! What is added to a container's `/etc/passwd` and `/etc/group`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A line for a user, and one for a group, that the files of the container do not name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Entries {
    /// Whoever asks for the container, where it has the same ids in it: it is named as on the host.
    pub caller: Option<Caller>,
    /// The line of `/etc/passwd` instead of the usual one. `$USERNAME`, `$UID`, `$GID`, `$NAME` and `$HOME` stand for what is known
    /// (podman-run(1)).
    pub passwd: Option<String>,
    /// The line of `/etc/group` instead of the usual one. `$GROUPNAME`, `$GID` and `$USERLIST` stand for what is known.
    pub group: Option<String>,
}

impl Entries {
    /// A line of passwd(5), with or without words that stand for something.
    ///
    /// # Errors
    /// Why it is none.
    pub fn user_line(text: &str) -> Result<String, String> {
        line(text, 7, "passwd(5)")
    }

    /// A line of group(5), with or without words that stand for something.
    ///
    /// # Errors
    /// Why it is none.
    pub fn group_line(text: &str) -> Result<String, String> {
        line(text, 4, "group(5)")
    }
}

fn line(text: &str, fields: usize, manual: &str) -> Result<String, String> {
    match text.split(':').count() == fields && !text.contains(char::is_control) {
        true => Ok(text.to_owned()),
        false => Err(format!("a line has {fields} fields with colons between them, see {manual}")),
    }
}

/// A user of the host, as passwd(5) and group(5) describe it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// What it is called.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// That of its group.
    pub gid: u32,
    /// What that is called.
    pub group: String,
    /// Its name in full.
    pub full_name: String,
    /// Its home.
    pub home: PathBuf,
}
