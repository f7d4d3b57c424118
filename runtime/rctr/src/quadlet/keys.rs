//! Tables of keys: what each becomes on rctr's command line.

use std::path::{Path, PathBuf};

use super::syntax::Unit;
use super::words;

/// What becomes of a key.
#[derive(Debug, Clone, Copy)]
pub(super) enum How {
    /// This flag with its last value.
    Last(&'static str),
    /// This flag with each of its values.
    Each(&'static str),
    /// This flag with each word of its values.
    Words(&'static str),
    /// This flag, and this before its last value.
    Prefixed(&'static str, &'static str),
    /// These words, if its last value is true.
    Switch(&'static [&'static str]),
    /// Code of its own.
    Own,
    /// It must have this value, which says what rctr does anyway; why nothing else can be had.
    Only(&'static str, &'static str),
    /// It cannot be had; why.
    Never(&'static str),
}

/// Keys that files of all kinds have.
const COMMON: [(&str, How); 4] = [
    ("ServiceName", How::Own),
    ("GlobalArgs", How::Own),
    ("PodmanArgs", How::Own),
    ("ContainersConfModule", How::Never("rctr does not read containers.conf")),
];

/// A file's own section.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys<'a> {
    pub(super) unit: &'a Unit,
    pub(super) section: &'static str,
    /// The folder of the file, where relative paths begin.
    pub(super) folder: &'a Path,
}

impl<'a> Keys<'a> {
    pub(super) fn last(&self, key: &str) -> Option<&'a str> {
        self.unit.last(self.section, key)
    }

    pub(super) fn all(&self, key: &str) -> Vec<&'a str> {
        self.unit.all(self.section, key)
    }

    /// The words of all values of a key.
    pub(super) fn words(&self, key: &str) -> Result<Vec<String>, String> {
        let each = self.all(key).into_iter().map(|value| words::split(value).map_err(|error| format!("{key}=: {error}")));
        Ok(each.collect::<Result<Vec<_>, _>>()?.concat())
    }

    pub(super) fn is_true(&self, key: &str) -> Result<Option<bool>, String> {
        self.last(key).map(|value| truth(value).ok_or_else(|| format!("{key}={value}: neither yes nor no"))).transpose()
    }

    /// A path of the host: a relative one is the file's neighbour. One that begins with a specifier stays as it is, as with Podman.
    pub(super) fn path(&self, text: &str) -> String {
        match text.starts_with('/') || text.starts_with('%') {
            true => text.to_owned(),
            false => plain(&self.folder.join(text)),
        }
    }

    /// The command line of these keys: rctr, its verb, and a flag for each key of the table that is there, in the table's order.
    ///
    /// # Errors
    /// A key is not in the table, cannot be had, or has a value that is none; it is named.
    pub(super) fn command(&self, program: &str, verb: &[&str], table: &[(&str, How)]) -> Result<Vec<String>, String> {
        let all = || COMMON.iter().chain(table);
        for (key, value) in self.unit.entries(self.section) {
            match all().find(|(name, _)| *name == key) {
                None => return Err(format!("there is no key {key}= in [{}]", self.section)),
                Some((_, How::Never(why))) if !value.is_empty() => return Err(format!("{key}= is not supported: {why}")),
                Some((_, How::Only(only, why))) if !value.is_empty() && !same(value, only) => {
                    return Err(format!("{key}={value} is not supported: {why}"));
                }
                Some(_) => {}
            }
        }
        let mut command = self.line(program, verb)?;
        for (key, how) in table {
            self.apply(key, *how, &mut command)?;
        }
        Ok(command)
    }

    /// A command line of the program with the arguments that all of them have.
    pub(super) fn line(&self, program: &str, words: &[&str]) -> Result<Vec<String>, String> {
        let own = words.iter().map(|word| (*word).to_owned());
        Ok([program.to_owned()].into_iter().chain(self.words("GlobalArgs")?).chain(own).collect())
    }

    fn apply(&self, key: &str, how: How, command: &mut Vec<String>) -> Result<(), String> {
        let mut flag = |flag: &str, value: String| command.extend([flag.to_owned(), value]);
        match how {
            How::Last(name) => self.last(key).into_iter().for_each(|value| flag(name, value.to_owned())),
            How::Each(name) => self.all(key).into_iter().for_each(|value| flag(name, value.to_owned())),
            How::Words(name) => self.words(key)?.into_iter().for_each(|word| flag(name, word)),
            How::Prefixed(name, before) => self.last(key).into_iter().for_each(|value| flag(name, format!("{before}{value}"))),
            How::Switch(words) if self.is_true(key)? == Some(true) => command.extend(words.iter().map(|word| (*word).to_owned())),
            How::Switch(_) | How::Own | How::Only(..) | How::Never(_) => {}
        }
        Ok(())
    }
}

/// As systemd has it.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Some(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Some(false),
        _ => None,
    }
}

fn same(value: &str, only: &str) -> bool {
    value == only || truth(value).is_some() && truth(value) == truth(only)
}

/// Without `.` and `..`; what is there is not looked at.
fn plain(path: &Path) -> String {
    use std::path::Component;
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain.to_string_lossy().into_owned()
}

/// `OS/ARCHITECTURE[/VARIANT]` of the keys Arch, OS and Variant.
pub(super) fn platform(keys: &Keys<'_>) -> Result<Option<String>, String> {
    match (keys.last("Arch"), keys.last("OS"), keys.last("Variant")) {
        (None, None, None) => Ok(None),
        (None, _, _) => Err("OS= and Variant= go with Arch=".to_owned()),
        (Some(arch), os, variant) => {
            let parts = [Some(os.unwrap_or("linux")), Some(arch), variant];
            Ok(Some(parts.into_iter().flatten().collect::<Vec<_>>().join("/")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: [(&str, How); 7] = [
        ("Words", How::Words("--word")),
        ("Last", How::Last("--last")),
        ("Each", How::Each("--each")),
        ("Option", How::Prefixed("--option", "key=")),
        ("Switch", How::Switch(&["--on", "it"])),
        ("Only", How::Only("false", "that is how it is")),
        ("Never", How::Never("there is none")),
    ];

    fn command(text: &str) -> Result<String, String> {
        let unit = Unit::parse(&format!("[S]\n{text}")).unwrap();
        let keys = Keys { unit: &unit, section: "S", folder: Path::new("/f") };
        keys.command("rctr", &["run"], &TABLE).map(|words| words::join(&words))
    }

    #[test]
    fn keys_become_flags() {
        let all = "Last=1\nLast=2\nEach=a b\nEach=c\nWords=d \"e f\"\nOption=g\nSwitch=on\nOnly=no\nGlobalArgs=--root /r";
        let flags = "--word d --word \"e f\" --last 2 --each \"a b\" --each c --option key=g --on it";
        assert_eq!(command(all).unwrap(), format!("rctr --root /r run {flags}"));
        assert_eq!(command("Last=1\nLast=\nSwitch=0\nNever=").unwrap(), "rctr run");
    }

    #[test]
    fn what_cannot_be_had_is_named() {
        for (text, error) in [
            ("Other=1", "there is no key Other= in [S]"),
            ("Never=1", "Never= is not supported: there is none"),
            ("Only=yes", "Only=yes is not supported: that is how it is"),
            ("Switch=maybe", "Switch=maybe: neither yes nor no"),
            ("Words='a", "Words=: \"'a\" has a quote that is not closed"),
        ] {
            assert_eq!(command(text).unwrap_err(), error);
        }
    }

    #[test]
    fn paths_begin_beside_the_file() {
        let unit = Unit::default();
        let keys = Keys { unit: &unit, section: "S", folder: Path::new("/f/g") };
        for (text, path) in [("/a", "/a"), ("./a", "/f/g/a"), ("../a/./b", "/f/a/b"), ("%h/a", "%h/a"), ("./%h", "/f/g/%h")] {
            assert_eq!(keys.path(text), path);
        }
    }
}
