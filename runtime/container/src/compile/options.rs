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
        if let Some((flag, recursive)) = propagation(option) {
            let (this, other) = if recursive { (&mut self.tree, &mut self.top) } else { (&mut self.top, &mut self.tree) };
            (this.propagation, other.propagation) = (flag, 0);
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
        let mut all = self.top;
        for (set, clear) in [(self.tree.set, self.tree.clear)] {
            all.set = (all.set & !clear) | set;
            all.clear = (all.clear & !set) | clear | (set & ATIME);
        }
        if self.tree.propagation != 0 {
            all.propagation = self.tree.propagation;
        }
        all
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

/// A propagation, and whether of the whole tree.
fn propagation(option: &str) -> Option<(u64, bool)> {
    let (name, recursive) = option.strip_prefix('r').map_or((option, false), |name| (name, true));
    let flag = match name {
        "private" => Propagation::PRIVATE,
        "slave" => Propagation::DOWNSTREAM,
        "shared" => Propagation::SHARED,
        "unbindable" => Propagation::UNBINDABLE,
        _ => return None,
    };
    Some((u64::from(flag.bits()), recursive))
}
