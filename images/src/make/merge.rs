//! Several layers as one: what each name is, by what the layers have under it.
//!
//! The rule knows no files, only what kind of thing a layer has: overlayfs (kernel documentation, filesystems/overlayfs, "Whiteouts and
//! opaque directories") and image-spec, layer.md, read from the top. What hides something stays only where a layer below the merged ones has
//! what is hidden.

/// What a layer has under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A folder.
    Folder {
        /// Nothing of the layers below shows in it.
        opaque: bool,
    },
    /// A file, a link, a device.
    File,
    /// The mark that there is nothing.
    Hidden,
}

/// What a name becomes in the one layer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Merged {
    /// The mark that there is nothing.
    Hidden,
    /// As the layer with this number has it.
    File(usize),
    /// A folder with the attributes that the first of `layers` gives it. What is in it comes from all of them, the topmost first.
    Folder {
        /// Layers that are merged.
        layers: Vec<usize>,
        /// Layers below them whose files show in it.
        base: Vec<usize>,
        /// Those of other layers below do not.
        opaque: bool,
    },
}

/// What a name is, by what the merged layers have under it, and those below them, each with its number and the topmost first. `None`: the one
/// layer does not have it.
pub(super) fn merged(layers: &[(usize, Kind)], base: &[(usize, Kind)]) -> Option<Merged> {
    let below = shown(base);
    match shown(layers) {
        Shown::Nothing => None,
        Shown::Hidden => matches!(below, Shown::File(_) | Shown::Folder(..)).then_some(Merged::Hidden),
        Shown::File(at) => Some(Merged::File(at)),
        Shown::Folder(layers, open) => Some(match below {
            Shown::Folder(base, _) if open => Merged::Folder { layers, base, opaque: false },
            Shown::Folder(..) => Merged::Folder { layers, base: Vec::new(), opaque: true },
            // A folder never shows anything of what is none.
            _ => Merged::Folder { layers, base: Vec::new(), opaque: false },
        }),
    }
}

/// What a stack of layers shows under a name.
enum Shown {
    /// It says nothing.
    Nothing,
    Hidden,
    File(usize),
    /// Of these layers; and whether more of it may be in the layers below.
    Folder(Vec<usize>, bool),
}

fn shown(stack: &[(usize, Kind)]) -> Shown {
    let mut folders = Vec::new();
    for (at, kind) in stack {
        match kind {
            Kind::Folder { opaque: false } => folders.push(*at),
            Kind::Folder { opaque: true } => {
                folders.push(*at);
                return Shown::Folder(folders, false);
            }
            _ if !folders.is_empty() => return Shown::Folder(folders, false),
            Kind::File => return Shown::File(*at),
            Kind::Hidden => return Shown::Hidden,
        }
    }
    if folders.is_empty() { Shown::Nothing } else { Shown::Folder(folders, true) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOLDER: Kind = Kind::Folder { opaque: false };
    const OPAQUE: Kind = Kind::Folder { opaque: true };
    const FILE: Kind = Kind::File;
    const HIDDEN: Kind = Kind::Hidden;

    /// Layers are numbered from the topmost on, those of the base from 10 on.
    fn of(layers: &[Kind], base: &[Kind]) -> Option<Merged> {
        let numbered =
            |kinds: &[Kind], from| kinds.iter().copied().enumerate().map(|(at, kind)| (at + from, kind)).collect::<Vec<_>>();
        merged(&numbered(layers, 0), &numbered(base, 10))
    }

    fn folder(layers: &[usize], base: &[usize], opaque: bool) -> Option<Merged> {
        Some(Merged::Folder { layers: layers.to_vec(), base: base.to_vec(), opaque })
    }

    #[test]
    fn the_topmost_file_counts() {
        assert_eq!(of(&[FILE, FILE], &[FILE]), Some(Merged::File(0)));
        assert_eq!(of(&[FILE, HIDDEN], &[]), Some(Merged::File(0)));
        assert_eq!(of(&[FILE, FOLDER], &[FOLDER]), Some(Merged::File(0)));
        assert_eq!(of(&[], &[FILE]), None, "what only the base has is the base's");
    }

    #[test]
    fn a_mark_stays_where_it_hides_something() {
        assert_eq!(of(&[HIDDEN, FILE], &[]), None);
        assert_eq!(of(&[HIDDEN, FILE], &[HIDDEN, FILE]), None, "the base does not show it");
        for base in [&[FILE][..], &[FOLDER], &[OPAQUE], &[FILE, HIDDEN]] {
            assert_eq!(of(&[HIDDEN, FILE], base), Some(Merged::Hidden), "{base:?}");
        }
    }

    #[test]
    fn folders_are_merged_down_to_what_hides_the_rest() {
        assert_eq!(of(&[FOLDER, FOLDER], &[FOLDER, FOLDER]), folder(&[0, 1], &[10, 11], false));
        assert_eq!(of(&[FOLDER, OPAQUE, FOLDER], &[FOLDER]), folder(&[0, 1], &[], true));
        assert_eq!(of(&[FOLDER, HIDDEN, FOLDER], &[FOLDER]), folder(&[0], &[], true));
        assert_eq!(
            of(&[FOLDER, FILE], &[FOLDER]),
            folder(&[0], &[], true),
            "a folder in place of a file that was in place of a folder"
        );
        assert_eq!(of(&[FOLDER], &[FOLDER, HIDDEN, FOLDER]), folder(&[0], &[10], false));
        assert_eq!(of(&[FOLDER], &[FOLDER, OPAQUE, FOLDER]), folder(&[0], &[10, 11], false));
    }

    #[test]
    fn a_folder_need_not_hide_what_no_folder_is() {
        for base in [&[][..], &[FILE], &[HIDDEN], &[HIDDEN, FOLDER]] {
            assert_eq!(of(&[OPAQUE], base), folder(&[0], &[], false), "{base:?}");
            assert_eq!(of(&[FOLDER], base), folder(&[0], &[], false), "{base:?}");
        }
    }

    #[test]
    fn merging_twice_is_merging_once() {
        // Three layers on a base: the upper two first, or all at once, hide the same of it.
        let all = [FOLDER, OPAQUE, FOLDER, FILE, HIDDEN];
        for top in all {
            for middle in all {
                for lowest in all {
                    let kind = match of(&[top, middle], &[lowest, FOLDER]) {
                        Some(Merged::Hidden) => Some(HIDDEN),
                        Some(Merged::File(_)) => Some(FILE),
                        Some(Merged::Folder { opaque, .. }) => Some(Kind::Folder { opaque }),
                        None => None,
                    };
                    let twice: Vec<Kind> = kind.into_iter().chain([lowest]).collect();
                    let shape = |merged: Option<Merged>| match merged {
                        Some(Merged::File(_)) => "a file".to_owned(),
                        Some(Merged::Folder { opaque, base, .. }) => format!("a folder {opaque} {base:?}"),
                        other => format!("{other:?}"),
                    };
                    assert_eq!(
                        shape(of(&twice, &[FOLDER])),
                        shape(of(&[top, middle, lowest], &[FOLDER])),
                        "{top:?} {middle:?} {lowest:?}"
                    );
                }
            }
        }
    }
}
