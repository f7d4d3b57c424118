//! Lines of `/etc/passwd` and `/etc/group` for a user whom the image does not know, by the rules of Podman: `whoami` has an answer, and
//! programs find a home. Where the files know the name or the number, nothing is added.

use std::path::Path;

use super::user::{Identity, groups, number, users};
use crate::Error;
use crate::record::Record;
use crate::request::{Caller, Entries};

/// Somebody to be in the files.
#[derive(Debug, PartialEq, Eq)]
struct Person {
    name: String,
    uid: u32,
    gid: u32,
    group: String,
    full_name: String,
    home: String,
}

/// What has to be added to the two files, whose texts these are: nothing where the user mounts something of its own.
pub(crate) fn missing(record: &Record, identity: &Identity, [passwd, group]: [&str; 2]) -> [String; 2] {
    let Some(entries) = &record.tuning.entries else { return [String::new(), String::new()] };
    let people = people(record, entries, identity);
    let [mut users_lines, mut group_lines] = [String::new(), String::new()];
    for person in &people {
        if !users(passwd).any(|user| user.name == person.name || user.uid == person.uid) {
            users_lines += &user_line(person, entries.passwd.as_deref());
        }
        if !groups(group).any(|(name, gid, _)| name == person.group || gid == person.gid) {
            group_lines += &group_line(person, entries.group.as_deref());
        }
    }
    let after = |text: &str, lines: String| match lines.is_empty() || text.is_empty() || text.ends_with('\n') {
        true => lines,
        false => format!("\n{lines}"),
    };
    let own = |path: &str, lines: String| if is_mounted(record, Path::new(path)) { String::new() } else { lines };
    [own("/etc/passwd", after(passwd, users_lines)), own("/etc/group", after(group, group_lines))]
}

/// Whoever asks, and who the first process is. A user who is asked for by name is in the file.
fn people(record: &Record, entries: &Entries, identity: &Identity) -> Vec<Person> {
    let workdir = plain(&record.workdir);
    let caller = entries.caller.as_ref().map(|Caller { name, uid, gid, group, full_name, home }| Person {
        name: name.clone(),
        uid: *uid,
        gid: *gid,
        group: group.clone(),
        full_name: full_name.clone(),
        home: if is_mounted(record, home) { plain(&home.to_string_lossy()) } else { workdir.clone() },
    });
    let user = record.user.split(':').next().unwrap_or_default();
    let by_number = number(user).is_some() && caller.as_ref().is_none_or(|caller| caller.uid != identity.uid);
    let own = by_number.then(|| Person {
        name: identity.uid.to_string(),
        uid: identity.uid,
        gid: identity.gid,
        group: identity.gid.to_string(),
        full_name: "container user".to_owned(),
        home: workdir,
    });
    caller.into_iter().chain(own).collect()
}

/// A folder as a field of passwd(5): the image's working folder may be called anything.
fn plain(folder: &str) -> String {
    if folder.contains(|letter: char| letter == ':' || letter.is_control()) { "/".to_owned() } else { folder.to_owned() }
}

/// The user has mounted it, or a folder that it is in.
fn is_mounted(record: &Record, path: &Path) -> bool {
    path.ancestors().any(|folder| folder.parent().is_some() && super::mounts::is_bound(record, folder))
}

fn user_line(person: &Person, form: Option<&str>) -> String {
    let Person { name, uid, gid, full_name, home, .. } = person;
    let (uid, gid) = (uid.to_string(), gid.to_string());
    let words = [("$USERNAME", name), ("$UID", &uid), ("$GID", &gid), ("$NAME", full_name), ("$HOME", home)];
    filled(form.unwrap_or("$USERNAME:*:$UID:$GID:$NAME:$HOME:/bin/sh"), &words)
}

fn group_line(Person { name, gid, group, .. }: &Person, form: Option<&str>) -> String {
    let words = [("$GROUPNAME", group), ("$GID", &gid.to_string()), ("$USERLIST", name)];
    filled(form.unwrap_or("$GROUPNAME:x:$GID:$USERLIST"), &words)
}

fn filled(form: &str, words: &[(&str, &String)]) -> String {
    words.iter().fold(form.to_owned(), |line, (word, value)| line.replace(word, value)) + "\n"
}

/// Refuses a line that would be none of its file.
///
/// # Errors
/// Names its flag.
pub(super) fn check(entries: &Entries) -> Result<(), Error> {
    let invalid = |flag: &str, form: &str, why| Error::Invalid { what: format!("{flag} {form:?}"), why };
    let forms = [
        ("--passwd-entry", &entries.passwd, Entries::user_line as fn(&str) -> Result<String, String>),
        ("--group-entry", &entries.group, Entries::group_line),
    ];
    forms.iter().try_for_each(|(flag, form, read)| match form {
        Some(form) => read(form).map(drop).map_err(|why| invalid(flag, form, why)),
        None => Ok(()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nann:x:7:7::/:/bin/sh\n";
    const GROUP: &str = "root:x:0:\nstaff:x:50:";

    fn record(user: &str, entries: Entries) -> Record {
        let mut record = crate::spec::plain_record();
        (record.user, record.workdir) = (user.to_owned(), "/srv".to_owned());
        record.tuning.entries = Some(entries);
        record
    }

    fn lines(record: &Record, uid: u32, gid: u32) -> [String; 2] {
        missing(record, &Identity { uid, gid, ..Identity::default() }, [PASSWD, GROUP])
    }

    fn caller() -> Option<Caller> {
        let text = str::to_owned;
        Some(Caller {
            name: text("me"),
            uid: 1000,
            gid: 1001,
            group: text("us"),
            full_name: text("M. E."),
            home: "/home/me".into(),
        })
    }

    #[test]
    fn who_is_not_there_is_added() {
        let none = ["", ""].map(str::to_owned);
        let own = |user: &str, uid, gid| lines(&record(user, Entries::default()), uid, gid);
        assert_eq!(own("5:6", 5, 6), ["5:*:5:6:container user:/srv:/bin/sh\n", "\n6:x:6:5\n"]);
        assert_eq!(own("5", 5, 0), ["5:*:5:0:container user:/srv:/bin/sh\n", ""]);
        assert_eq!(own("5:staff", 5, 50)[1], "");
        for (user, uid, gid) in [("", 0, 0), ("root", 0, 0), ("0:0", 0, 0), ("7:0", 7, 0)] {
            assert_eq!(own(user, uid, gid), none, "{user}");
        }
        let mut record = record("5:6", Entries::default());
        record.tuning.entries = None;
        assert_eq!(lines(&record, 5, 6), none);
    }

    #[test]
    fn whoever_asks_is_called_as_on_the_host() {
        let entries = Entries { caller: caller(), ..Entries::default() };
        let same = record("1000:1001", entries.clone());
        assert_eq!(lines(&same, 1000, 1001), ["me:*:1000:1001:M. E.:/srv:/bin/sh\n", "\nus:x:1001:me\n"]);
        let [users, groups] = lines(&record("5:6", entries.clone()), 5, 6);
        assert_eq!((users.lines().count(), groups.lines().count()), (2, 3));
        // The image has somebody of that name, or of that number.
        for (name, uid) in [("ann", 1000), ("me", 7)] {
            let caller = caller().map(|caller| Caller { name: name.to_owned(), uid, ..caller });
            let known = record(&format!("{uid}"), Entries { caller, ..Entries::default() });
            assert_eq!(lines(&known, uid, 0)[0], "", "{name}");
        }
        // Its home is there when it is mounted.
        let mut mounted = record("1000", entries);
        mounted.mounts.push(crate::spec::plain_bind("/home", crate::request::Access::Write));
        assert!(lines(&mounted, 1000, 1001)[0].contains(":/home/me:"));
        mounted.mounts[0].target = "/etc".into();
        assert_eq!(lines(&mounted, 1000, 1001), ["", ""]);
    }

    #[test]
    fn a_line_may_be_given() {
        let form =
            |passwd: &str, group: &str| Entries { passwd: Some(passwd.to_owned()), group: Some(group.to_owned()), caller: None };
        let given = form("$USERNAME:x:$UID:$GID:$NAME:$HOME/$UID:/none", "g$GROUPNAME:x:$GID:$USERLIST,more");
        assert_eq!(lines(&record("5:6", given.clone()), 5, 6), ["5:x:5:6:container user:/srv/5:/none\n", "\ng6:x:6:5,more\n"]);
        assert!(check(&given).is_ok());
        for (bad, flag) in [
            (form("$USERNAME:x:1", "a:x:1:"), "--passwd-entry"),
            (form("a:x:1:1::/:/x\nroot2::0:0::/:", "a:x:1:"), "--passwd-entry"),
            (form("a:x:1:1::/:/x", "a:x:1"), "--group-entry"),
        ] {
            assert!(check(&bad).unwrap_err().to_string().starts_with(flag));
        }
    }

    #[test]
    fn a_working_folder_is_one_field() {
        let mut odd = record("5:6", Entries::default());
        odd.workdir = "/a:/bin/sh\nevil::0:0::/:/bin/sh".to_owned();
        assert_eq!(lines(&odd, 5, 6)[0], "5:*:5:6:container user:/:/bin/sh\n");
    }
}
