//! How many files this daemon may have open: as many as the host lets it, since each pod takes some. Containers begin with what the daemon
//! itself began with: programs that go through all numbers that they might have open take long where there are a million.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::log::{self, Level, say};

/// What the daemon has open for each pod with a container: its end, and the end of its monitor.
const EACH: u64 = 2;

/// What it has open without any, and for calls and streams that are being done.
const OWN: u64 = 512;

static FIRST: OnceLock<Rlimit> = OnceLock::new();

/// Raises the limit, and tells who has asked for so many `pods` if it is too small for them.
pub(crate) fn raise(pods: u32) {
    let first = *FIRST.get_or_init(|| getrlimit(Resource::Nofile));
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: first.maximum, ..first }) {
        log::failed("raise the limit of open files", &error);
    }
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let wanted = needed(pods);
    if most < wanted {
        let text = format!("{most} files may be open, and {pods} pods take up to {wanted}: see LimitNOFILE in systemd.exec(5)");
        say(Level::Warning, &text, &[]);
    }
}

fn needed(pods: u32) -> u64 {
    OWN + EACH * u64::from(pods)
}

/// What containers begin with; nothing when the daemon has what they get anyway.
pub(crate) fn of_containers() -> Option<engine::Ulimit> {
    let first = FIRST.get()?;
    let number = |limit: Option<u64>| limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(-1));
    let (soft, hard) = (number(first.current), number(first.maximum));
    (soft != hard).then(|| engine::Ulimit { name: "nofile".to_owned(), soft, hard })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_and_containers_keep_theirs() {
        let before = getrlimit(Resource::Nofile);
        raise(1);
        let after = getrlimit(Resource::Nofile);
        assert_eq!((after.current, after.maximum), (before.maximum, before.maximum));
        let kept = of_containers().map(|limit| (limit.soft, limit.hard));
        let number = |limit: Option<u64>| limit.map_or(-1, |limit| limit as i64);
        let expected = (number(before.current), number(before.maximum));
        assert_eq!(kept, (expected.0 != expected.1).then_some(expected));
        assert!(needed(500) > needed(50));
    }
}
