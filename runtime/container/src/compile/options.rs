//! Mount options as mount(8) and OCI runtimes write them.

use launch::{Attributes, Links};
use rustix::mount::{MountAttrFlags as Attribute, MountPropagationFlags as Propagation};
use sys::mount::Attr;

/// The access time setting is a value of several bits, not a bit (mount_setattr(2)).
const ATIME: u64 = 0x70;
const RDONLY: u64 = Attribute::MOUNT_ATTR_RDONLY.bits() as u64;
const NODIRATIME: u64 = Attribute::MOUNT_ATTR_NODIRATIME.bits() as u64;
/// What a bind mount with options loses when it is not among them (mount(8), `MS_REMOUNT | MS_BIND`). Access times are not: without an
/// option about them they stay.
const UNASKED: u64 = (Attribute::MOUNT_ATTR_RDONLY.bits()
    | Attribute::MOUNT_ATTR_NOSUID.bits()
    | Attribute::MOUNT_ATTR_NODEV.bits()
    | Attribute::MOUNT_ATTR_NOEXEC.bits()
    | Attribute::MOUNT_ATTR_NOSYMFOLLOW.bits()) as u64;

/// Options of one mount, sorted out.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Options {
    /// A bind mount, and whether with everything below.
    pub(super) bind: Option<bool>,
    /// A change of what is mounted.
    pub(super) remount: bool,
    /// Attributes of the mount itself.
    pub(super) top: Attr,
    /// Attributes of it and of everything mounted below.
    pub(super) tree: Attr,
    /// `MS_*` propagation, 0 if none is asked for. It always holds for the whole tree: a mount below that stayed shared with the host
    /// would show the host what the container mounts.
    pub(super) propagation: u64,
    /// Settings of the file system rather than of the mount, all switched on.
    pub(super) superblock: Vec<&'static str>,
    /// What only the file system understands.
    pub(super) data: Vec<(String, Option<String>)>,
    /// `tmpcopyup`.
    pub(super) copy_up: bool,
    /// `src-nofollow`.
    pub(super) keep_source: bool,
    /// The other options about links.
    pub(super) links: Links,
    /// An id mapping.
    pub(super) idmap: Option<IdMap>,
}

/// `idmap` or `ridmap`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct IdMap {
    /// For all mounts of the tree.
    pub(super) recursive: bool,
    /// What is after the `=`, as with crun.
    pub(super) ranges: Option<String>,
}

/// What an option does to the attributes of a mount.
#[derive(Clone, Copy)]
enum Effect {
    Set(u64),
    Clear(u64),
    Atime(u64),
    /// Takes an access time setting back. As with mount(8) nothing else is meant: it changes no mount that is there.
    NoAtime(u64),
}

use Effect::{Atime, Clear, NoAtime, Set};

const NOATIME: u64 = Attribute::MOUNT_ATTR_NOATIME.bits() as u64;
const STRICTATIME: u64 = Attribute::MOUNT_ATTR_STRICTATIME.bits() as u64;
/// The kernel's own choice.
const RELATIME: u64 = 0;

/// Options that are attributes. Each has a form with `r` before it that applies to the whole tree (runtime-spec, "mounts").
const ATTRIBUTES: [(&str, Effect); 18] = [
    ("ro", Set(RDONLY)),
    ("rw", Clear(RDONLY)),
    ("nosuid", Set(Attribute::MOUNT_ATTR_NOSUID.bits() as u64)),
    ("suid", Clear(Attribute::MOUNT_ATTR_NOSUID.bits() as u64)),
    ("nodev", Set(Attribute::MOUNT_ATTR_NODEV.bits() as u64)),
    ("dev", Clear(Attribute::MOUNT_ATTR_NODEV.bits() as u64)),
    ("noexec", Set(Attribute::MOUNT_ATTR_NOEXEC.bits() as u64)),
    ("exec", Clear(Attribute::MOUNT_ATTR_NOEXEC.bits() as u64)),
    ("nodiratime", Set(NODIRATIME)),
    ("diratime", Clear(NODIRATIME)),
    ("nosymfollow", Set(Attribute::MOUNT_ATTR_NOSYMFOLLOW.bits() as u64)),
    ("symfollow", Clear(Attribute::MOUNT_ATTR_NOSYMFOLLOW.bits() as u64)),
    ("noatime", Atime(NOATIME)),
    ("strictatime", Atime(STRICTATIME)),
    ("relatime", Atime(RELATIME)),
    ("atime", NoAtime(NOATIME)),
    ("nostrictatime", NoAtime(STRICTATIME)),
    ("norelatime", NoAtime(RELATIME)),
];

/// Options of the superblock that fsconfig(2) knows for every file system.
const SUPERBLOCK: [&str; 4] = ["sync", "dirsync", "lazytime", "mand"];
/// What is so anyway in a new mount, and what a bind cannot change. Nothing but the caller hears of what goes wrong in fsconfig(2): it is
/// as silent as it is loud.
const USUAL: [&str; 7] = ["defaults", "async", "nolazytime", "nomand", "noiversion", "silent", "loud"];

impl Options {
    /// Sorts options out. Of two that contradict each other the later one counts.
    pub(super) fn parse<'a>(options: impl IntoIterator<Item = &'a str>) -> Options {
        let mut sorted = Options::default();
        for option in options {
            sorted.add(option);
        }
        sorted
    }

    fn add(&mut self, option: &str) {
        if let Some(effect) = attribute(option) {
            return effect.on(&mut self.top);
        }
        if let Some(effect) = option.strip_prefix('r').and_then(attribute) {
            return effect.on_tree(&mut self.tree);
        }
        if let Some(flag) = propagation(option) {
            self.propagation = flag;
            return;
        }
        match option {
            "bind" => self.bind = Some(self.bind.unwrap_or(false)),
            "rbind" => self.bind = Some(true),
            "remount" => self.remount = true,
            "tmpcopyup" => self.copy_up = true,
            "copy-symlink" => self.links.copy = true,
            "src-nofollow" => self.keep_source = true,
            "dest-nofollow" => self.links.keep_target = true,
            _ if USUAL.contains(&option) => {}
            _ => match SUPERBLOCK.iter().find(|known| **known == option) {
                Some(known) => self.superblock.push(known),
                None => self.data(option),
            },
        }
    }

    fn data(&mut self, option: &str) {
        let (key, value) = option.split_once('=').map_or((option, None), |(key, value)| (key, Some(value.to_owned())));
        match key {
            "idmap" | "ridmap" => self.idmap = Some(IdMap { recursive: key == "ridmap", ranges: value }),
            _ => self.data.push((key.to_owned(), value)),
        }
    }

    /// Attributes of a new mount.
    pub(super) fn all(&self) -> u64 {
        let (top, tree) = (self.top, self.tree);
        (top.set & !tree.clear) | tree.set
    }

    /// Attributes of a tree that is bound, or of a mount that is changed.
    pub(super) fn attributes(&self, locked: bool) -> Attributes {
        let (mut top, tree) = (self.top, self.tree);
        let mut rest = if top == Attr::default() { 0 } else { UNASKED & !(top.set | top.clear) };
        if top.set & NODIRATIME != 0 || top.clear & ATIME != 0 {
            // One option about access times decides all of them.
            top.clear |= (ATIME | NODIRATIME) & !(top.set & NODIRATIME);
        }
        // What holds for the whole tree holds for its top.
        let said = tree.set | tree.clear;
        top.set &= !said;
        top.clear &= !said;
        rest &= !said;
        let (tree_set, tree_clear) = (tree.set, tree.clear);
        Attributes { set: top.set, clear: top.clear, rest, tree_set, tree_clear, propagation: self.propagation, locked }
    }

    /// True for a read-only mount.
    pub(super) fn readonly(&self) -> bool {
        self.all() & RDONLY != 0
    }
}

impl Effect {
    fn on(self, attr: &mut Attr) {
        match self {
            Set(bit) => {
                attr.set |= bit;
                attr.clear &= !bit;
            }
            Clear(bit) => {
                attr.set &= !bit;
                attr.clear |= bit;
            }
            // The kernel wants the whole field cleared before a value is set.
            Atime(value) => {
                attr.set = (attr.set & !ATIME) | value;
                attr.clear |= ATIME;
            }
            NoAtime(value) => {
                if value != RELATIME && attr.set & ATIME == value {
                    attr.set &= !ATIME;
                }
            }
        }
    }

    /// For the whole tree taking a setting back means the kernel's own choice.
    fn on_tree(self, attr: &mut Attr) {
        match self {
            NoAtime(_) => Atime(RELATIME).on(attr),
            other => other.on(attr),
        }
    }
}

fn attribute(option: &str) -> Option<Effect> {
    ATTRIBUTES.iter().find(|(name, _)| *name == option).map(|(_, effect)| *effect)
}

/// What the options of a new file system mean to fsmount(2) and fsconfig(2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    /// `MOUNT_ATTR_*` of the mount.
    pub attributes: u64,
    /// What the file system itself is told, with a value or as a flag.
    pub settings: Vec<(String, Option<String>)>,
}

/// Sorts the options of a new file system, of which this process mounts one itself.
pub fn parts(options: &[&str]) -> Parts {
    let sorted = Options::parse(options.iter().copied());
    let mut settings: Vec<_> = sorted.superblock.iter().map(|name| ((*name).to_owned(), None)).collect();
    if sorted.readonly() {
        settings.push(("ro".to_owned(), None));
    }
    settings.extend(sorted.data.iter().cloned());
    Parts { attributes: sorted.all(), settings }
}

/// All options that act, sorted: those that only file systems know come on top.
pub fn known() -> Vec<String> {
    let attributes = ATTRIBUTES.iter().flat_map(|(name, _)| [(*name).to_owned(), format!("r{name}")]);
    let propagations = PROPAGATIONS.iter().flat_map(|(name, _)| [(*name).to_owned(), format!("r{name}")]);
    let others = OTHERS.iter().chain(&USUAL).chain(&SUPERBLOCK).map(|name| (*name).to_owned());
    let mut all: Vec<String> = attributes.chain(propagations).chain(others).collect();
    all.sort_unstable();
    all
}

/// Those that [`Options`] has a place of its own for, and two that not every file system has.
const OTHERS: [&str; 11] = [
    "acl",
    "bind",
    "copy-symlink",
    "dest-nofollow",
    "idmap",
    "iversion",
    "rbind",
    "remount",
    "ridmap",
    "src-nofollow",
    "tmpcopyup",
];

const PROPAGATIONS: [(&str, Propagation); 4] = [
    ("private", Propagation::PRIVATE),
    ("slave", Propagation::DOWNSTREAM),
    ("shared", Propagation::SHARED),
    ("unbindable", Propagation::UNBINDABLE),
];

/// A propagation, with or without the `r` for the whole tree.
pub(super) fn propagation(option: &str) -> Option<u64> {
    let name = option.strip_prefix('r').unwrap_or(option);
    PROPAGATIONS.iter().find(|(known, _)| *known == name).map(|(_, flag)| u64::from(flag.bits()))
}

/// What mount_setattr(2) takes: no bit both set and cleared but in the access time field, and that one whole.
#[cfg(any(test, fuzzing))]
pub(crate) fn check<'a>(options: impl IntoIterator<Item = &'a str>) {
    const NOATIME: u64 = 0x10;
    const STRICTATIME: u64 = 0x20;
    let options = Options::parse(options);
    let bind = options.attributes(false);
    let top = Attr { set: bind.set, clear: bind.clear | bind.rest, propagation: 0 };
    let tree = Attr { set: bind.tree_set, clear: bind.tree_clear, propagation: 0 };
    for attr in [options.top, top, tree] {
        assert_eq!(attr.set & attr.clear & !ATIME, 0);
        assert!(attr.set & ATIME == 0 || attr.clear & ATIME == ATIME);
        assert!(attr.clear & ATIME == 0 || attr.clear & ATIME == ATIME);
    }
    for set in [top.set, tree.set, options.all()] {
        assert!([0, NOATIME, STRICTATIME].contains(&(set & ATIME)));
    }
    // One bit has one reason.
    assert_eq!(bind.clear & bind.rest, 0);
    assert_eq!((bind.set | bind.clear | bind.rest) & (bind.tree_set | bind.tree_clear), 0);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOSUID: u64 = 2;
    const NODEV: u64 = 4;
    const NOEXEC: u64 = 8;
    const NOSYMFOLLOW: u64 = 0x20_0000;

    fn parse(options: &[&str]) -> Options {
        Options::parse(options.iter().copied())
    }

    #[test]
    fn later_options_win() {
        assert_eq!(parse(&["ro", "rw"]).top, Attr { set: 0, clear: RDONLY, propagation: 0 });
        assert_eq!(parse(&["rw", "ro"]).top, Attr { set: RDONLY, clear: 0, propagation: 0 });
        assert_eq!(parse(&["noatime", "relatime"]).top, Attr { set: 0, clear: ATIME, propagation: 0 });
        assert_eq!(parse(&["strictatime", "noatime"]).top, Attr { set: NOATIME, clear: ATIME, propagation: 0 });
        assert_eq!(parse(&["rshared", "private"]).propagation, u64::from(Propagation::PRIVATE.bits()));
    }

    #[test]
    fn taking_an_access_time_setting_back() {
        assert_eq!(parse(&["noatime", "atime"]).top, Attr { set: 0, clear: ATIME, propagation: 0 });
        assert_eq!(parse(&["strictatime", "nostrictatime"]).all(), 0);
        assert_eq!(parse(&["noatime", "nostrictatime", "norelatime"]).all(), NOATIME);
        assert_eq!(parse(&["atime", "norelatime"]).top, Attr::default());
        assert_eq!(parse(&["ratime"]).tree, Attr { set: 0, clear: ATIME, propagation: 0 });
        assert_eq!(parse(&["rstrictatime", "rnostrictatime"]).tree, Attr { set: 0, clear: ATIME, propagation: 0 });
    }

    #[test]
    fn the_tree_is_apart_from_its_top() {
        let options = parse(&["rbind", "ro", "rnosuid", "rslave"]);
        assert_eq!(options.bind, Some(true));
        assert_eq!((options.top.set, options.tree.set, options.all()), (RDONLY, NOSUID, RDONLY | NOSUID));
        assert_eq!(parse(&["ro", "rrw"]).all(), 0);
        assert!(parse(&["rro"]).readonly() && !parse(&["rw"]).readonly());
    }

    /// A bind has the options it is given, and no others: set, cleared by name, cleared because nobody asked.
    #[test]
    fn what_a_bind_becomes() {
        let bound = |options: &[&str]| {
            let Attributes { set, clear, rest, .. } = parse(options).attributes(false);
            (set, clear, rest)
        };
        let but = |bits: u64| UNASKED & !bits;
        assert_eq!(bound(&["bind"]), (0, 0, 0));
        assert_eq!(bound(&["rbind", "rprivate", "defaults"]), (0, 0, 0));
        assert_eq!(bound(&["ro"]), (RDONLY, 0, but(RDONLY)));
        assert_eq!(bound(&["nosuid", "nodev"]), (NOSUID | NODEV, 0, RDONLY | NOEXEC | NOSYMFOLLOW));
        assert_eq!(bound(&["dev"]), (0, NODEV, but(NODEV)));
        // Access times: untouched, or decided as a whole.
        assert_eq!(bound(&["atime"]), (0, 0, 0));
        assert_eq!(bound(&["noatime"]), (NOATIME, ATIME | NODIRATIME, UNASKED));
        assert_eq!(bound(&["nodiratime"]), (NODIRATIME, ATIME, UNASKED));
        assert_eq!(bound(&["nodiratime", "strictatime"]), (NODIRATIME | STRICTATIME, ATIME, UNASKED));
        // The tree decides over its top.
        assert_eq!(bound(&["rbind", "ro", "rrw"]), (0, 0, but(RDONLY)));
        assert_eq!(bound(&["rbind", "rro"]), (0, 0, 0));
    }

    #[test]
    fn the_rest_is_for_the_file_system() {
        let options = parse(&["size=64k", "sync", "defaults", "newinstance", "context=a=b", "silent", "acl"]);
        let data = [("size", Some("64k")), ("newinstance", None), ("context", Some("a=b")), ("acl", None)];
        assert_eq!(options.data, data.map(|(key, value)| (key.to_owned(), value.map(str::to_owned))));
        assert_eq!(options.superblock, ["sync"]);
        assert!(parse(&["tmpcopyup"]).copy_up && parse(&["remount"]).remount && parse(&["src-nofollow"]).keep_source);
        let links = Links { copy: true, keep_target: true };
        assert_eq!(parse(&["copy-symlink", "dest-nofollow"]).links, links);
        let map = |recursive, ranges: Option<&str>| Some(IdMap { recursive, ranges: ranges.map(str::to_owned) });
        assert_eq!(parse(&["idmap"]).idmap, map(false, None));
        assert_eq!(parse(&["ridmap=uids=0-1-10;gids=0-1-10"]).idmap, map(true, Some("uids=0-1-10;gids=0-1-10")));
    }

    fn option() -> impl Strategy<Value = String> {
        let names = ATTRIBUTES.map(|(name, _)| name);
        prop_oneof![
            proptest::sample::select(names.to_vec()).prop_map(str::to_owned),
            proptest::sample::select(names.to_vec()).prop_map(|name| format!("r{name}")),
            proptest::sample::select(vec!["private", "rslave", "bind", "rbind", "sync"]).prop_map(str::to_owned),
            "[a-z]{1,8}(=[a-z0-9,=]{0,8})?",
        ]
    }

    proptest! {
        #[test]
        fn the_kernel_takes_every_combination(options in proptest::collection::vec(option(), 0..12)) {
            check(options.iter().map(String::as_str));
        }

        /// An option is an attribute, a flag, or the file system's; none gets lost.
        #[test]
        fn nothing_is_lost(name in "[a-z]{1,12}", value in proptest::option::of("[a-z0-9=:,]{0,6}")) {
            let text = value.as_ref().map_or(name.clone(), |value| format!("{name}={value}"));
            let usual = USUAL.contains(&text.as_str()) || matches!(attribute(&text), Some(NoAtime(_)));
            prop_assert!(Options::parse([text.as_str()]) != Options::default() || usual);
        }
    }
}
