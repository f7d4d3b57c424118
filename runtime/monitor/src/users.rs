//! `--users`: a user namespace and what belongs to it, made in a process of its own, since who has threads cannot make one, and handed over.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::process::ExitCode;

use launch::IdRange;
use sys::ns::kind;

/// Makes them for the ranges of users and groups that the arguments say, and sends their descriptors, or why there are none.
pub(crate) fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let Ok(socket) = sys::socket::inherited() else { return ExitCode::from(2) };
    let args: Vec<String> = args.filter_map(|arg| arg.into_string().ok()).collect();
    let made = match args.as_slice() {
        [uids, gids] => match (ranges(uids), ranges(gids)) {
            (Some(uids), Some(gids)) => {
                let made = launch::user_namespaces(&uids, &gids, kind::IPC | kind::UTS | kind::NET);
                made.map_err(|error| error.to_string())
            }
            _ => Err("no ranges".to_owned()),
        },
        _ => Err("--users needs ranges of users and of groups".to_owned()),
    };
    let sent = match &made {
        Ok(made) => sys::socket::send(&socket, b"made", &made.iter().map(AsFd::as_fd).collect::<Vec<_>>()),
        Err(why) => sys::socket::send(&socket, why.as_bytes(), &[]),
    };
    ExitCode::from(u8::from(made.is_err() || sent.is_err()))
}

/// Ranges of ids with commas between them.
fn ranges(text: &str) -> Option<Vec<IdRange>> {
    text.split(',').map(range).collect()
}

/// A range of ids: `INSIDE:OUTSIDE:SIZE`.
fn range(text: &str) -> Option<IdRange> {
    let mut parts = text.split(':').map(|part| part.parse().ok());
    let range = IdRange { inside: parts.next()??, outside: parts.next()??, size: parts.next()?? };
    parts.next().is_none().then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_numbers_are_a_range() {
        assert_eq!(range("0:100000:65536"), Some(IdRange { inside: 0, outside: 100_000, size: 65536 }));
        assert_eq!(ranges("0:5:1,1:7:2").map(|ranges| ranges.len()), Some(2));
        assert!(ranges("0:5:1,").is_none());
        assert!(["", "0:1", "0:1:2:3", "a:1:2", "0:4294967296:1"].iter().all(|text| range(text).is_none()));
    }
}
