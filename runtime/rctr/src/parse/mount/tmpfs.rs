//! `--tmpfs PATH[:OPTIONS]`.

use engine::{Mount, MountSource};

use super::{plain, target};

/// Options that tmpfs has (tmpfs(5)).
const SETTINGS: [&str; 8] = ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol", "huge"];
/// Options of every mount.
const FLAGS: [&str; 15] = [
    "ro",
    "rw",
    "exec",
    "noexec",
    "suid",
    "nosuid",
    "dev",
    "nodev",
    "sync",
    "async",
    "dirsync",
    "atime",
    "noatime",
    "relatime",
    "strictatime",
];

/// A file system in memory.
pub(crate) fn tmpfs(text: &str) -> Result<Mount, String> {
    parse(text).map_err(|why| format!("{text:?}: {why}; the form is /CONTAINER/PATH[:OPTION,...]"))
}

fn parse(text: &str) -> Result<Mount, String> {
    let (place, options) = text.split_once(':').unwrap_or((text, ""));
    let options: Vec<String> = options.split(',').filter(|option| !option.is_empty()).map(str::to_owned).collect();
    options.iter().try_for_each(|option| check(option))?;
    let mut mount = plain(target(place)?, MountSource::Tmpfs { options: options.clone(), short: true });
    mount.mode = options.join(",");
    Ok(mount)
}

/// Whether tmpfs knows the option; what its value may be is the kernel's to say, but for what is a number everywhere.
pub(super) fn check(option: &str) -> Result<(), String> {
    match option.split_once('=') {
        None if FLAGS.contains(&option) || option == "noswap" => Ok(()),
        Some(("mode", value)) if u32::from_str_radix(value, 8).is_ok_and(|mode| mode <= 0o7777) => Ok(()),
        Some(("mode", value)) => Err(format!("mode {value:?} is no octal number up to 7777")),
        Some((key @ ("uid" | "gid"), value)) if value.parse::<u32>().is_err() => Err(format!("{key} {value:?} is no number")),
        Some(("size", value)) => size(value),
        Some((key, _)) if SETTINGS.contains(&key) => Ok(()),
        _ => {
            let known = || [SETTINGS.map(|key| format!("{key}=…")).join(", "), FLAGS.join(", ")].join(", ");
            Err(format!("unknown option {option:?}: there are {}", known()))
        }
    }
}

/// A number of bytes with the kernel's letters, or a part of the memory.
fn size(value: &str) -> Result<(), String> {
    let digits = value.trim_end_matches(['k', 'K', 'm', 'M', 'g', 'G', 't', 'T', '%']);
    match value.len() - digits.len() < 2 && digits.parse::<u64>().is_ok() {
        true => Ok(()),
        false => Err(format!("size {value:?} is no number with k, m, g or %")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms() {
        let options = |text: &str| match tmpfs(text).unwrap().source {
            MountSource::Tmpfs { options, short: true } => options.join(" "),
            other => panic!("{other:?}"),
        };
        assert_eq!(options("/run"), "");
        assert_eq!(options("/run:rw,exec,size=64m,mode=1777"), "rw exec size=64m mode=1777");
        for bad in ["", "run", "/", "/run:colour=red", "/run:red", "/run:size=x", "/run:size=1mm", "/run:mode=9", "/run:uid=root"] {
            assert!(tmpfs(bad).is_err(), "{bad}");
        }
    }
}
