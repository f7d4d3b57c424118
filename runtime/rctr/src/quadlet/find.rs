//! The files, with their drop-ins.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::syntax::Unit;
use super::units::{self, Source};

/// All files of these folders and those below them, by name: of one name the first.
pub(super) fn sources(folders: &[PathBuf]) -> Vec<Source> {
    let folders = with_those_below(folders);
    let mut found = BTreeMap::new();
    for folder in &folders {
        for (name, path) in names(folder) {
            let extension = Path::new(&name).extension().and_then(|extension| extension.to_str());
            if extension.is_some_and(units::is_one) && path.is_file() {
                found.entry(name).or_insert(path);
            }
        }
    }
    found.into_iter().map(|(name, path)| Source { unit: read(&path, &drop_ins(&folders, &name)), path }).collect()
}

/// Each folder before those below it. Links are followed, each folder is looked into once.
fn with_those_below(folders: &[PathBuf]) -> Vec<PathBuf> {
    let (mut all, mut seen) = (Vec::new(), BTreeSet::new());
    let mut next: Vec<PathBuf> = folders.iter().rev().cloned().collect();
    while let Some(folder) = next.pop() {
        if fs::canonicalize(&folder).is_ok_and(|real| seen.insert(real)) {
            let below = names(&folder).into_iter().rev().filter(|(name, path)| !name.ends_with(".d") && path.is_dir());
            next.extend(below.map(|(_, path)| path));
            all.push(folder);
        }
    }
    all
}

fn names(folder: &Path) -> BTreeMap<String, PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path()))).collect()
}

/// The drop-ins of a file, in the order of their names. Of one name, that in the folder which says most of the file's name wins.
fn drop_ins(folders: &[PathBuf], name: &str) -> Vec<PathBuf> {
    let mut found = BTreeMap::new();
    for of in drop_in_folders(name) {
        for folder in folders {
            for (name, path) in names(&folder.join(&of)) {
                if name.ends_with(".conf") {
                    found.entry(name).or_insert(path);
                }
            }
        }
    }
    found.into_values().collect()
}

/// `a-b@c.container.d`, `a-b@.container.d`, `a-.container.d`, `container.d`.
fn drop_in_folders(name: &str) -> Vec<String> {
    let Some((stem, extension)) = name.rsplit_once('.') else { return Vec::new() };
    let mut stems = vec![stem.to_owned()];
    if let Some((template, instance)) = stem.split_once('@')
        && !instance.is_empty()
    {
        stems.push(format!("{template}@"));
    }
    let plain = stem.split('@').next().unwrap_or_default();
    stems.extend(plain.rmatch_indices('-').map(|(at, _)| plain[..=at].to_owned()).filter(|shorter| shorter != stem));
    let own = stems.into_iter().map(|stem| format!("{stem}.{extension}.d"));
    own.chain([format!("{extension}.d")]).collect()
}

fn read(path: &Path, drop_ins: &[PathBuf]) -> Result<Unit, String> {
    let parse = |path: &Path| {
        let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
        Unit::parse(&text)
    };
    let mut unit = parse(path)?;
    for path in drop_ins {
        unit.merge(parse(path).map_err(|error| format!("{}: {error}", path.display()))?);
    }
    Ok(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drop_ins_are_where_systemd_has_them() {
        assert_eq!(drop_in_folders("a.container"), ["a.container.d", "container.d"]);
        let all = ["a-b@c.network.d", "a-b@.network.d", "a-.network.d", "network.d"];
        assert_eq!(drop_in_folders("a-b@c.network"), all);
    }

    #[test]
    fn the_first_of_a_name_is_taken_and_the_nearest_drop_in_wins() {
        let folder = tempfile::tempdir().unwrap();
        let file = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        file("run/a.container", "[Container]\nImage=run\n");
        file("etc/a.container", "[Container]\nImage=etc\n");
        file("etc/sub/b.volume", "[Volume]\n");
        file("etc/sub/b.txt", "nothing");
        file("etc/a.container.d/10.conf", "[Container]\nExec=ten\n");
        file("etc/a.container.d/20.conf", "[Container]\nExec=twenty\n");
        file("usr/container.d/20.conf", "[Container]\nExec=all\n");
        file("usr/container.d/15.conf", "[Container]\nExec=fifteen\n");
        file("usr/c.network", "[Network\n");
        std::os::unix::fs::symlink("..", folder.path().join("etc/sub/up")).unwrap();
        let folders = ["run", "etc", "usr", "none"].map(|name| folder.path().join(name));
        let found = sources(&folders);
        let names: Vec<_> = found.iter().map(|source| source.path.strip_prefix(folder.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["run/a.container", "etc/sub/b.volume", "usr/c.network"]);
        let unit = found[0].unit.as_ref().unwrap();
        assert_eq!(unit.all("Container", "Exec"), ["ten", "fifteen", "twenty"]);
        assert_eq!(found[2].unit, Err("line 1: a section is written [NAME]".to_owned()));
    }
}
