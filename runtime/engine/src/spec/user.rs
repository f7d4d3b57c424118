//! Who a process is: `user[:group]` looked up in the container's own passwd(5) and group(5), which strangers wrote.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags};

use crate::Error;
use crate::request::{GroupPolicy, Tuning};

/// Beyond this no file of users is read.
pub(crate) const LIMIT: usize = 4 << 20;
/// Ids above this are negative numbers to some programs (CVE-2024-40635).
const MAX_ID: u32 = i32::MAX as u32;

/// A resolved user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Supplementary groups. The primary group is among them, as a program that drops its primary group must not gain rights
    /// by it (CVE-2022-36109).
    pub(crate) groups: Vec<u32>,
    pub(crate) home: String,
}

/// Looks `user` up below `root`, a container's root folder, with the groups that `tuning` asks for.
pub(crate) fn identify(root: impl AsFd, user: &str, tuning: &Tuning) -> Result<Identity, Error> {
    let passwd = text(&root, "etc/passwd");
    let group = text(&root, "etc/group");
    let mut identity =
        resolve(user, &passwd, &group, tuning.group_policy).map_err(|why| Error::User { user: user.to_owned(), why })?;
    for name in &tuning.groups {
        let gid = group_id(name, &group).map_err(|why| Error::Invalid { what: format!("--group-add {name}"), why })?;
        if !identity.groups.contains(&gid) {
            identity.groups.push(gid);
        }
    }
    Ok(identity)
}

/// How many ids, from 0 on, hold all that the files of users below `root` name, and `user`, who runs there. Ids beyond those of system
/// users are no reason to take so many, and neither is nobody, who is nobody outside as well: what is not mapped is shown as nobody.
pub(crate) fn room(root: impl AsFd, user: &str) -> u32 {
    const SYSTEM: u32 = 65535;
    let (passwd, group) = (text(&root, "etc/passwd"), text(&root, "etc/group"));
    let users = users(&passwd).map(|user| (user.name, user.uid)).chain(users(&passwd).map(|user| (user.name, user.gid)));
    let named = users.chain(groups(&group).map(|(name, gid, _)| (name, gid)));
    let usual = named.filter(|(name, id)| *id < SYSTEM && !matches!(*name, "nobody" | "nogroup")).map(|(_, id)| id);
    let own = user.split(':').filter_map(|part| number(part)?.ok());
    usual.chain(own).max().map_or(0, |last| last + 1)
}

/// A file of the image, or nothing when it has none, or when it is no plain file or too large. What is not plain is not even opened: a
/// FIFO would be waited for, and the mere opening of a device does things to the host (of a watchdog: restarts it).
pub(crate) fn text(root: impl AsFd, path: &str) -> String {
    let open = || -> Option<OwnedFd> {
        let found = sys::fs::open_in_root(root, path, OFlags::PATH, Mode::empty()).ok()?;
        let plain = FileType::from_raw_mode(rustix::fs::fstat(&found).ok()?.st_mode) == FileType::RegularFile;
        let again = format!("/proc/self/fd/{}", found.as_raw_fd());
        plain.then(|| rustix::fs::open(again, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok())?
    };
    let bytes = open().and_then(|file| sys::fs::read_all(file, LIMIT).ok()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(super) struct User<'a> {
    pub(super) name: &'a str,
    pub(super) uid: u32,
    gid: u32,
    home: &'a str,
}

pub(super) fn users(passwd: &str) -> impl Iterator<Item = User<'_>> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _, uid, gid) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        Some(User { name, uid: uid.parse().ok()?, gid: gid.parse().ok()?, home: fields.nth(1).unwrap_or("") })
    })
}

/// Name, id and members of each group.
pub(super) fn groups(group: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    group.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _, gid) = (fields.next()?, fields.next()?, fields.next()?);
        Some((name, gid.parse().ok()?, fields.next().unwrap_or("")))
    })
}

/// A decimal id. A number is never looked up as a name, though a line of the file may be called so (CVE-2016-3697).
pub(super) fn number(text: &str) -> Option<Result<u32, String>> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let checked =
        || text.parse().ok().filter(|id| *id <= MAX_ID).ok_or_else(|| format!("{text} is above the largest id, {MAX_ID}"));
    digits.then(checked)
}

fn resolve(spec: &str, passwd: &str, group: &str, policy: GroupPolicy) -> Result<Identity, String> {
    let (user, own_group) = match spec.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (spec, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let found = match number(user) {
        Some(id) => {
            let uid = id?;
            users(passwd).find(|entry| entry.uid == uid).unwrap_or(User { name: "", uid, gid: 0, home: "/" })
        }
        None => users(passwd).find(|entry| entry.name == user).ok_or_else(|| format!("there is no {user:?} in its /etc/passwd"))?,
    };
    if found.uid > MAX_ID || found.gid > MAX_ID {
        return Err(format!("/etc/passwd gives it an id above the largest, {MAX_ID}"));
    }
    let gid = own_group.map_or(Ok(found.gid), |name| group_id(name, group))?;
    let mut supplementary = match (policy, own_group) {
        (GroupPolicy::Merge, _) | (GroupPolicy::Docker, None) => member_of(found.name, group),
        (GroupPolicy::Strict, _) | (GroupPolicy::Docker, Some(_)) => Vec::new(),
    };
    if !supplementary.contains(&gid) {
        supplementary.insert(0, gid);
    }
    let home = if found.home.is_empty() { "/" } else { found.home };
    Ok(Identity { uid: found.uid, gid, groups: supplementary, home: home.to_owned() })
}

fn group_id(name: &str, group: &str) -> Result<u32, String> {
    if let Some(id) = number(name) {
        return id;
    }
    let found = groups(group).find(|(entry, ..)| *entry == name).map(|(_, gid, _)| gid);
    found.filter(|gid| *gid <= MAX_ID).ok_or_else(|| format!("there is no group {name:?} in its /etc/group"))
}

fn member_of(name: &str, group: &str) -> Vec<u32> {
    let member = |members: &str| members.split(',').any(|member| member.trim() == name);
    groups(group).filter(|(_, gid, members)| !name.is_empty() && *gid <= MAX_ID && member(members)).map(|(_, gid, _)| gid).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbroken\n1000:x:0:0::/evil:/bin/sh\nweb:x:33:34:web:/var/www:/bin/false\nbig:x:4294967295:0::/:";
    const GROUP: &str = "root:x:0:root\nweb:x:34:\nmail:x:8:web, other\nlog:x:9:other,web\nnobody:x:99:webx";

    fn ids(spec: &str) -> Result<(u32, u32, Vec<u32>), String> {
        resolve(spec, PASSWD, GROUP, GroupPolicy::Docker).map(|found| (found.uid, found.gid, found.groups))
    }

    #[test]
    fn names_and_numbers() {
        assert_eq!(ids(""), Ok((0, 0, vec![0])));
        assert_eq!(ids("web"), Ok((33, 34, vec![34, 8, 9])));
        assert_eq!(ids("33"), Ok((33, 34, vec![34, 8, 9])));
        assert_eq!(ids("web:mail"), Ok((33, 8, vec![8])));
        assert_eq!(ids("7:5"), Ok((7, 5, vec![5])));
        assert_eq!(ids("7"), Ok((7, 0, vec![0])));
        assert_eq!(resolve("web", PASSWD, GROUP, GroupPolicy::Docker).unwrap().home, "/var/www");
    }

    #[test]
    fn a_policy_decides_about_the_images_groups() {
        let groups = |spec, policy| resolve(spec, PASSWD, GROUP, policy).unwrap().groups;
        assert_eq!(groups("33:5", GroupPolicy::Docker), [5]);
        assert_eq!(groups("33:5", GroupPolicy::Merge), [5, 8, 9]);
        assert_eq!(groups("web", GroupPolicy::Merge), [34, 8, 9]);
        assert_eq!(groups("web", GroupPolicy::Strict), [34]);
        assert_eq!(groups("33:5", GroupPolicy::Strict), [5]);
    }

    #[test]
    fn a_number_is_never_a_name() {
        assert_eq!(ids("1000"), Ok((1000, 0, vec![0])));
        assert_eq!(resolve("1000", PASSWD, GROUP, GroupPolicy::Docker).unwrap().home, "/");
    }

    #[test]
    fn what_is_no_file_is_not_opened() {
        use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
        let folder = std::env::temp_dir().join(format!("engine-passwd-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("etc")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, folder.join("etc/passwd"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        std::fs::write(folder.join("etc/group"), GROUP).unwrap();
        let opened = init(CreateFlags::NONBLOCK).unwrap();
        add_watch(&opened, folder.join("etc/passwd"), WatchFlags::OPEN).unwrap();
        let tuning = Tuning { groups: vec!["log".to_owned(), "5".to_owned()], ..Tuning::default() };
        let found = identify(std::fs::File::open(&folder).unwrap(), "7:mail", &tuning);
        std::fs::remove_dir_all(folder).unwrap();
        assert_eq!(found.unwrap().groups, [8, 9, 5]);
        // `IN_IGNORED`: the watch went with the file, and that is all that has happened.
        const IGNORED: u32 = 0x8000;
        let mut events = [0; 64];
        let length = rustix::io::read(&opened, &mut events).unwrap_or(0);
        assert_eq!(length.checked_div(16), Some(1));
        assert_eq!(u32::from_ne_bytes([events[4], events[5], events[6], events[7]]), IGNORED);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for spec in ["nobody", "web:none", "4294967295", "99999999999", "big", "0:2147483648", "-1"] {
            assert!(ids(spec).is_err(), "{spec}");
        }
    }
}
