//! The ids that a user may give to others: `/etc/subuid` and `/etc/subgid` (subuid(5)).

use std::fmt::Write;

/// One range of ids: the first, and how many.
pub(super) type Range = (u32, u32);

/// The ranges of a user in such a file: lines `NAME:FIRST:COUNT`, where a user may be named by number as well. A line that makes no sense is
/// nobody's.
pub(super) fn of_user(text: &str, name: Option<&str>, uid: u32) -> Vec<Range> {
    let number = uid.to_string();
    let own = |owner: &str| Some(owner) == name || owner == number;
    text.lines()
        .filter_map(|line| {
            let mut parts = line.trim().split(':');
            let owner = parts.next().filter(|owner| own(owner))?;
            let (first, count): (u32, u32) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
            let fits = !owner.is_empty() && count > 0 && first.checked_add(count).is_some() && parts.next().is_none();
            fits.then_some((first, count))
        })
        .collect()
}

/// The name of a user in a file like `/etc/passwd`.
pub(super) fn name_of(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut parts = line.split(':');
        let (name, _password, number) = (parts.next()?, parts.next()?, parts.next()?);
        (number.parse() == Ok(uid)).then_some(name)
    })
}

/// What is mapped: the user's own id is 0, and its ranges follow, one after the other. The kernel takes no more than 340 lines, and no id
/// twice (user_namespaces(7)).
pub(super) fn plan(own: u32, ranges: &[Range]) -> Vec<[u32; 3]> {
    const MOST: usize = 340;
    let mut lines = vec![[0, own, 1]];
    let mut next: u32 = 1;
    for (first, count) in ranges.iter().take(MOST - 1) {
        let taken = lines.iter().any(|[_, other, length]| first < &(other + length) && *other < first + count);
        // What no longer fits below the highest id is left out.
        let Some(after) = next.checked_add(*count).filter(|_| !taken) else { continue };
        lines.push([next, *first, *count]);
        next = after;
    }
    lines
}

/// A plan as `/proc/PID/uid_map` takes it.
pub(super) fn text(plan: &[[u32; 3]]) -> String {
    plan.iter().fold(String::new(), |mut text, [inside, outside, count]| {
        let _ = writeln!(text, "{inside} {outside} {count}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_lines_by_name_and_by_number() {
        let text = "root:1:2\nann:100000:65536\n1000:300000:5\nannabel:1:9\n ann:7:3 \n";
        assert_eq!(of_user(text, Some("ann"), 1000), [(100_000, 65536), (300_000, 5), (7, 3)]);
        assert_eq!(of_user(text, None, 1000), [(300_000, 5)]);
        assert_eq!(of_user(text, Some("bob"), 1001), []);
        let bad = "ann\nann:\nann:1\nann:1:\nann:x:1\nann:1:0\nann:-1:5\nann:4294967295:2\nann:1:2:3\n:1:2\n#ann:1:2\n";
        assert_eq!(of_user(bad, Some("ann"), 1000), []);
        assert_eq!(of_user(":1:2", Some(""), 1000), []);
    }

    #[test]
    fn names_come_from_passwd() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nother:x:1000:1::/:\nbroken\n";
        assert_eq!((name_of(passwd, 1000), name_of(passwd, 0), name_of(passwd, 5)), (Some("ann"), Some("root"), None));
    }

    #[test]
    fn the_user_is_root_and_the_ranges_follow() {
        assert_eq!(plan(1000, &[]), [[0, 1000, 1]]);
        let two = plan(1000, &[(100_000, 65536), (300_000, 10)]);
        assert_eq!(two, [[0, 1000, 1], [1, 100_000, 65536], [65537, 300_000, 10]]);
        assert_eq!(text(&two), "0 1000 1\n1 100000 65536\n65537 300000 10\n");
        // What is mapped already cannot be mapped again.
        assert_eq!(plan(1000, &[(999, 5), (10, 5), (12, 5)]), [[0, 1000, 1], [1, 10, 5]]);
        assert_eq!(plan(7, &[(100, u32::MAX - 200), (8, 50)]).len(), 3);
        assert_eq!(plan(7, &(0..400).map(|at| (100 + at, 1)).collect::<Vec<_>>()).len(), 340);
    }
}
