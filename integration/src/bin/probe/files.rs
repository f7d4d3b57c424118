//! Files: what can be read and written, and what a tree looks like.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::fs::{FileType, Mode, mknodat};

use crate::verdict;

pub(crate) fn check(words: &[&str]) -> bool {
    match words {
        ["read", path] => match fs::read(path) {
            Ok(bytes) => drop(std::io::stdout().write_all(&bytes)),
            Err(error) => println!("{}", crate::name(&error)),
        },
        ["size", path] => println!("{}", fs::read(path).map_or_else(|error| crate::name(&error), |bytes| bytes.len().to_string())),
        ["list", path] => {
            println!("{}", fs::read_dir(path).map_or_else(|error| crate::name(&error), |all| all.count().to_string()))
        }
        ["write", path, text] => println!("{}", verdict(fs::write(path, text))),
        // opens for writing without changing anything
        ["writable", path] => println!("{}", verdict(OpenOptions::new().append(true).open(path))),
        ["create", path] => println!("{}", verdict(OpenOptions::new().write(true).create_new(true).open(path))),
        ["mkdir", path] => println!("{}", verdict(fs::create_dir(path))),
        ["remove", path] => println!("{}", verdict(fs::remove_file(path))),
        ["open", path] => println!("{}", verdict(fs::File::open(path))),
        ["mknod", path, major, minor] => {
            let device = rustix::fs::makedev(major.parse().unwrap_or(0), minor.parse().unwrap_or(0));
            println!("{}", verdict(mknodat(rustix::fs::CWD, *path, FileType::CharacterDevice, Mode::from_raw_mode(0o600), device)));
        }
        ["stat", paths @ ..] => paths.iter().for_each(|path| describe(Path::new(path))),
        ["tree", path] => tree(Path::new(path)),
        ["xattr", path, name] => xattr(path, name),
        _ => return false,
    }
    true
}

fn tree(path: &Path) {
    describe(path);
    if !path.is_symlink() && path.is_dir() {
        let mut below: Vec<_> = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        below.sort();
        below.iter().for_each(|path| tree(path));
    }
}

/// `PATH TYPE MODE UID:GID SIZE MTIME LINKS [-> TARGET] [MAJOR:MINOR]`.
fn describe(path: &Path) {
    let meta = match path.symlink_metadata() {
        Ok(meta) => meta,
        Err(error) => return println!("{} {}", path.display(), crate::name(&error)),
    };
    let kind = meta.file_type();
    let kind = match () {
        () if kind.is_dir() => "dir",
        () if kind.is_symlink() => "link",
        () if kind.is_char_device() => "char",
        () if kind.is_block_device() => "block",
        () if kind.is_fifo() => "fifo",
        () => "file",
    };
    let size = if meta.is_dir() { 0 } else { meta.size() };
    let mode = meta.mode() & 0o7777;
    print!("{} {kind} {mode:o} {}:{} {size} {} {}", path.display(), meta.uid(), meta.gid(), meta.mtime(), meta.nlink());
    match fs::read_link(path) {
        Ok(target) => println!(" -> {}", target.display()),
        Err(_) if kind == "char" => println!(" {}:{}", rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev())),
        Err(_) => println!(),
    }
}

fn xattr(path: &str, name: &str) {
    let mut buffer = [0; 256];
    match rustix::fs::lgetxattr(path, name, &mut buffer) {
        Ok(len) => println!("{}", buffer[..len].iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
        Err(errno) => println!("{}", crate::name(&errno.into())),
    }
}
