//! Mount options as mount(8) and OCI runtimes write them.

use rustix::mount::{MountAttrFlags as Attribute, MountPropagationFlags as Propagation};
use sys::mount::Attr;

/// The access time setting is a value of several bits, not a bit (mount_setattr(2)).
const ATIME: u64 = 0x70;
const RDONLY: u64 = Attribute::MOUNT_ATTR_RDONLY.bits() as u64;

/// Options of one mount, sorted out.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Options {
    /// A bind mount, and whether with everything below.
    pub(super) bind: Option<bool>,
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
    /// The first option that is known and cannot be done.
    pub(super) impossible: Option<String>,
}

/// What an option does to the attributes of a mount.
#[derive(Clone, Copy)]
enum Effect {
    Set(u64),
    Clear(u64),
    Atime(u64),
}

use Effect::{Atime, Clear, Set};

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
    ("nodiratime", Set(Attribute::MOUNT_ATTR_NODIRATIME.bits() as u64)),
    ("diratime", Clear(Attribute::MOUNT_ATTR_NODIRATIME.bits() as u64)),
    ("nosymfollow", Set(Attribute::MOUNT_ATTR_NOSYMFOLLOW.bits() as u64)),
    ("symfollow", Clear(Attribute::MOUNT_ATTR_NOSYMFOLLOW.bits() as u64)),
    ("noatime", Atime(Attribute::MOUNT_ATTR_NOATIME.bits() as u64)),
    ("strictatime", Atime(Attribute::MOUNT_ATTR_STRICTATIME.bits() as u64)),
    // Neither never nor always is relatime, the kernel's own choice.
    ("relatime", Atime(0)),
    ("atime", Atime(0)),
    ("norelatime", Atime(0)),
    ("nostrictatime", Atime(0)),
];

/// Options of the superblock that fsconfig(2) knows for every file system.
const SUPERBLOCK: [&str; 4] = ["sync", "dirsync", "lazytime", "mand"];
/// What is so anyway in a new mount. A bind cannot change it.
const USUAL: [&str; 6] = ["defaults", "async", "nolazytime", "nomand", "silent", "loud"];
/// Known, and not done yet.
const IMPOSSIBLE: [&str; 4] = ["remount", "idmap", "ridmap", "tmpcopyup"];

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
            return effect.on(&mut self.tree);
        }
        if let Some(flag) = propagation(option) {
            self.propagation = flag;
            return;
        }
        match option {
            "bind" => self.bind = Some(self.bind.unwrap_or(false)),
            "rbind" => self.bind = Some(true),
            _ if USUAL.contains(&option) => {}
            _ if IMPOSSIBLE.contains(&option.split('=').next().unwrap_or_default()) => {
                self.impossible.get_or_insert_with(|| option.to_owned());
            }
            _ => match SUPERBLOCK.iter().find(|known| **known == option) {
                Some(known) => self.superblock.push(known),
                None => self.data.push(match option.split_once('=') {
                    Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                    None => (option.to_owned(), None),
                }),
            },
        }
    }

    /// Both kinds of attributes as one, for a mount with nothing below it.
    pub(super) fn all(&self) -> Attr {
        let (top, tree) = (self.top, self.tree);
        let atime = tree.clear & ATIME;
        Attr {
            set: (top.set & !tree.clear) | tree.set,
            clear: (top.clear & !(tree.set & !ATIME)) | tree.clear | atime,
            propagation: 0,
        }
    }

    /// True for a read-only mount.
    pub(super) fn readonly(&self) -> bool {
        self.all().set & RDONLY != 0
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
        }
    }
}

fn attribute(option: &str) -> Option<Effect> {
    ATTRIBUTES.iter().find(|(name, _)| *name == option).map(|(_, effect)| *effect)
}

/// A propagation, with or without the `r` for the whole tree.
pub(super) fn propagation(option: &str) -> Option<u64> {
    let flag = match option.strip_prefix('r').unwrap_or(option) {
        "private" => Propagation::PRIVATE,
        "slave" => Propagation::DOWNSTREAM,
        "shared" => Propagation::SHARED,
        "unbindable" => Propagation::UNBINDABLE,
        _ => return None,
    };
    Some(u64::from(flag.bits()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOSUID: u64 = 2;
    const NOATIME: u64 = 0x10;

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
    fn the_tree_is_apart_from_its_top() {
        let options = parse(&["rbind", "ro", "rnosuid", "rslave"]);
        assert_eq!(options.bind, Some(true));
        assert_eq!((options.top.set, options.tree.set, options.all().set), (RDONLY, NOSUID, RDONLY | NOSUID));
        assert_eq!(parse(&["ro", "rrw"]).all(), Attr { set: 0, clear: RDONLY, propagation: 0 });
        assert!(parse(&["rro"]).readonly() && !parse(&["rw"]).readonly());
    }

    #[test]
    fn the_rest_is_for_the_file_system() {
        let options = parse(&["size=64k", "sync", "defaults", "newinstance", "context=a=b"]);
        let data = [("size", Some("64k")), ("newinstance", None), ("context", Some("a=b"))];
        assert_eq!(options.data, data.map(|(key, value)| (key.to_owned(), value.map(str::to_owned))));
        assert_eq!(options.superblock, ["sync"]);
        assert_eq!(parse(&["tmpcopyup"]).impossible.as_deref(), Some("tmpcopyup"));
        assert_eq!(parse(&["idmap=uids=0-1-10"]).impossible.as_deref(), Some("idmap=uids=0-1-10"));
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
        /// What mount_setattr(2) takes: no bit both set and cleared but in the access time field, and that one whole.
        #[test]
        fn the_kernel_takes_every_combination(options in proptest::collection::vec(option(), 0..12)) {
            let options = Options::parse(options.iter().map(String::as_str));
            for attr in [options.top, options.tree, options.all()] {
                prop_assert_eq!(attr.set & attr.clear & !ATIME, 0);
                if attr.set & ATIME != 0 {
                    prop_assert_eq!(attr.clear & ATIME, ATIME);
                }
                prop_assert!(attr.clear & ATIME == 0 || attr.clear & ATIME == ATIME);
                prop_assert!([0, 0x10, 0x20].contains(&(attr.set & ATIME)));
            }
        }

        /// An option is an attribute, a flag, or the file system's; none gets lost.
        #[test]
        fn nothing_is_lost(name in "[a-z]{1,12}", value in proptest::option::of("[a-z0-9=:,]{0,6}")) {
            let text = value.as_ref().map_or(name.clone(), |value| format!("{name}={value}"));
            let nothing = Options::default();
            let options = Options::parse([text.as_str()]);
            prop_assert!(options != nothing || USUAL.contains(&text.as_str()));
        }
    }
}
