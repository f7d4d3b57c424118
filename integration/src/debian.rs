//! The layers of Debian packages: one `mmdebstrap` run installs the package sets one after the other, and what
//! each of them changed becomes a layer. Built once, kept in the cache under a key made of the recipe.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::layer::{self, Compression, Data, Entry, Hashing, Kind, Layer};

/// Debian's release.
const SUITE: &str = "trixie";
/// Raise it when the way layers are written changes.
const EDITION: u32 = 1;
/// The layers, lowest first, and the packages that each adds.
pub const STEPS: [(&str, &str); 5] =
    [("base", ""), ("tools", "ca-certificates curl openssl"), ("python", "python3"), ("nginx", "nginx-light"), ("node", "nodejs")];
/// What a running build leaves in the tree and an image does not want.
const LEFT_OUT: [&str; 12] = [
    "proc/",
    "sys/",
    "dev/",
    "run/",
    "tmp/",
    "var/lib/apt/lists/",
    "var/cache/apt/",
    "var/log/",
    "etc/resolv.conf",
    "etc/hostname",
    "usr/sbin/policy-rc.d",
    "usr/sbin/start-stop-daemon",
];

/// Where fixtures are kept: `RCTR_FIXTURES`, or a folder that outlives a checkout.
#[must_use]
pub fn cache() -> PathBuf {
    std::env::var_os("RCTR_FIXTURES").map_or_else(|| "/var/cache/rctr-integration".into(), PathBuf::from)
}

/// A program of this crate, beside the running one or one folder up (test binaries live in `deps/`).
///
/// # Errors
/// When it has not been built.
pub fn program(name: &str) -> Result<PathBuf> {
    let exe = std::env::current_exe()?;
    let found = exe.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.with_context(|| format!("{name} is not built: cargo build --workspace"))
}

/// Whether a program of this name is on the PATH.
#[must_use]
pub fn is_installed(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

/// What is kept of a layer beside its bytes.
#[derive(Serialize, Deserialize)]
struct Record {
    digest: String,
    diff_id: String,
    size: u64,
}

/// The layers of [`STEPS`], from the cache or built now (needs root and Debian's mirror).
///
/// # Errors
/// When mmdebstrap is missing or fails.
pub fn layers() -> Result<Vec<Layer>> {
    let folder = cache();
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let lock = File::create(folder.join("debian.lock"))?;
    lock.lock()?;
    let done = folder.join(format!("debian-{}", key()));
    if !done.is_dir() {
        build(&folder, &done)?;
    }
    STEPS.iter().map(|(name, _)| load(&done, name)).collect()
}

fn key() -> String {
    let recipe = format!("{EDITION} {SUITE} {} {STEPS:?} {LEFT_OUT:?}", std::env::consts::ARCH);
    layer::hex(&Sha256::digest(recipe))[..12].to_owned()
}

fn load(folder: &Path, name: &str) -> Result<Layer> {
    let path = folder.join(format!("{name}.json"));
    let record: Record = serde_json::from_slice(&fs::read(&path).with_context(|| format!("read {}", path.display()))?)?;
    let data = Data::File(folder.join(format!("{name}.tar.gz")));
    Ok(Layer { compression: Compression::Gzip, digest: record.digest, diff_id: record.diff_id, size: record.size, data })
}

fn build(folder: &Path, done: &Path) -> Result<()> {
    let work = tempfile::Builder::new().prefix("building-").tempdir_in(folder)?;
    let (root, out) = (work.path().join("root"), work.path().join("layers"));
    fs::create_dir(&out)?;
    let snapshot = |name: &str| -> Result<String> {
        Ok(format!("--customize-hook='{}' snapshot {name} \"$1\" '{}'", program("fixture")?.display(), out.display()))
    };
    let mut build = Command::new("mmdebstrap");
    build.args(["--quiet", "--mode=root", "--variant=minbase", "--format=directory"]);
    build.arg("--dpkgopt=path-exclude=/usr/share/locale/*");
    for (name, packages) in STEPS {
        if !packages.is_empty() {
            let install = "env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends";
            build.arg(format!("--customize-hook=chroot \"$1\" {install} {packages} </dev/null >/dev/null"));
            build.arg("--customize-hook=chroot \"$1\" apt-get clean");
        }
        build.arg(snapshot(name)?);
    }
    let status = build.arg(SUITE).arg(&root).status().context("run mmdebstrap (apt-get install mmdebstrap)")?;
    if !status.success() {
        bail!("mmdebstrap: {status}");
    }
    fs::rename(&out, done).with_context(|| format!("rename {} to {}", out.display(), done.display()))
}

/// What tells whether a path changed between two snapshots.
#[derive(Serialize, Deserialize, PartialEq, Eq, Clone)]
struct Stamp {
    mode: u32,
    owner: (u32, u32),
    /// Inode and change time; not of folders, which change with every child.
    content: Option<(u64, i64, i64)>,
}

/// Writes what changed below `root` since the last snapshot into `out` as layer `name`.
///
/// # Errors
/// When the tree cannot be read or the layer cannot be written.
pub fn snapshot(name: &str, root: &Path, out: &Path) -> Result<()> {
    let index = out.join("index");
    let old: BTreeMap<String, Stamp> = match fs::read(&index) {
        Ok(bytes) => serde_json::from_slice(&bytes)?,
        Err(_) => BTreeMap::new(),
    };
    let mut new = BTreeMap::new();
    walk(root, "", &mut new)?;
    let entries = difference(root, &old, &new)?;
    fs::write(&index, serde_json::to_vec(&new)?)?;

    let path = out.join(format!("{name}.tar.gz"));
    let mut file = Hashing { to: File::create(&path)?, hash: Sha256::new() };
    let diff_id = layer::write(&entries, Compression::Gzip, &mut file)?;
    let digest = format!("sha256:{}", layer::hex(&file.hash.finalize()));
    let record = Record { digest, diff_id, size: fs::metadata(&path)?.len() };
    fs::write(out.join(format!("{name}.json")), serde_json::to_vec(&record)?)?;
    Ok(())
}

fn walk(folder: &Path, prefix: &str, into: &mut BTreeMap<String, Stamp>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|name| anyhow::anyhow!("{name:?} is not UTF-8"))?;
        let path = format!("{prefix}{name}");
        let meta = entry.metadata()?;
        let below = format!("{path}/");
        if LEFT_OUT.iter().any(|left_out| path.starts_with(left_out)) {
            continue;
        }
        let content = (!meta.is_dir()).then(|| (meta.ino(), meta.ctime(), meta.ctime_nsec()));
        into.insert(path, Stamp { mode: meta.mode(), owner: (meta.uid(), meta.gid()), content });
        if meta.is_dir() && !LEFT_OUT.contains(&below.as_str()) {
            walk(&entry.path(), &below, into)?;
        }
    }
    Ok(())
}

fn difference(root: &Path, old: &BTreeMap<String, Stamp>, new: &BTreeMap<String, Stamp>) -> Result<Vec<Entry>> {
    let changed = |path: &str| old.get(path) != new.get(path);
    let mut paths = BTreeSet::new();
    for path in new.keys().filter(|path| changed(path)) {
        // parents come along, as they do in an overlay's upper folder: their owner and mode must not be guessed
        paths.extend(Path::new(path).ancestors().filter_map(Path::to_str).filter(|path| !path.is_empty()));
    }
    let mut linked = HashMap::new();
    let mut entries = paths.iter().map(|path| entry(root, path, &mut linked)).collect::<Result<Vec<_>>>()?;
    let gone = old.keys().filter(|path| !new.contains_key(*path));
    let parent_stays = |path: &&String| {
        Path::new(path.as_str()).parent().and_then(Path::to_str).is_none_or(|up| up.is_empty() || new.contains_key(up))
    };
    entries.extend(gone.filter(parent_stays).map(|path| Entry::whiteout(path)));
    Ok(entries)
}

fn entry(root: &Path, path: &str, linked: &mut HashMap<u64, String>) -> Result<Entry> {
    let full = root.join(path);
    let meta = full.symlink_metadata().with_context(|| format!("stat {}", full.display()))?;
    let kind = if meta.is_dir() {
        Kind::Dir
    } else if meta.is_symlink() {
        let target = fs::read_link(&full)?;
        Kind::Symlink(target.to_str().context("link target is not UTF-8")?.to_owned())
    } else if !meta.is_file() {
        bail!("{path} is neither file, folder nor link");
    } else if let Some(first) = linked.get(&meta.ino()) {
        Kind::Hardlink(first.clone())
    } else {
        linked.insert(meta.ino(), path.to_owned());
        Kind::Copy(full)
    };
    let mtime = u64::try_from(meta.mtime()).unwrap_or(0);
    Ok(Entry::new(path, kind).mode(meta.mode() & 0o7777).owner(meta.uid().into(), meta.gid().into()).mtime(mtime))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_hold_what_changed() {
        let work = tempfile::tempdir().unwrap();
        let (root, out) = (work.path().join("root"), work.path().join("out"));
        for folder in ["etc", "tmp", "var/lib/dpkg"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::create_dir(&out).unwrap();
        fs::write(root.join("etc/kept"), "same").unwrap();
        fs::write(root.join("etc/gone"), "bye").unwrap();
        fs::write(root.join("tmp/junk"), "x").unwrap();
        snapshot("one", &root, &out).unwrap();
        fs::remove_file(root.join("etc/gone")).unwrap();
        fs::write(root.join("var/lib/dpkg/status"), "new").unwrap();
        fs::hard_link(root.join("var/lib/dpkg/status"), root.join("var/lib/dpkg/status-old")).unwrap();
        snapshot("two", &root, &out).unwrap();

        assert_eq!(listing(&out, "one"), ["etc", "etc/gone", "etc/kept", "tmp", "var", "var/lib", "var/lib/dpkg"]);
        let two = ["var", "var/lib", "var/lib/dpkg", "var/lib/dpkg/status", "var/lib/dpkg/status-old", "etc/.wh.gone"];
        assert_eq!(listing(&out, "two"), two);
    }

    fn listing(out: &Path, name: &str) -> Vec<String> {
        let layer = load(out, name).unwrap();
        let bytes = layer.data.read().unwrap();
        assert_eq!(layer::digest(&bytes), layer.digest);
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
        archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().to_string_lossy().into_owned()).collect()
    }
}
