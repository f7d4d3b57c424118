//! Users of a container's own.

use engine::{AutoUsers, IdRange};

/// What `--userns` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// The host's users.
    Host,
    /// Some of the host's that nobody has.
    Auto(AutoUsers),
    /// The host's in a namespace of its own, and who the first process is.
    Keep {
        /// Its user.
        uid: Option<u32>,
        /// Its group.
        gid: Option<u32>,
    },
    /// All but whoever asks.
    NoMap,
}

/// What `--userns` takes.
pub(crate) fn users(text: &str) -> Result<Wish, String> {
    let (mode, options) = text.split_once(':').unwrap_or((text, ""));
    let options =
        options.split(',').filter(|option| !option.is_empty()).map(|option| option.split_once('=').unwrap_or((option, "")));
    match mode {
        "" | "host" if text == mode => Ok(Wish::Host),
        "auto" => {
            let mut auto = AutoUsers::default();
            for (key, value) in options {
                match key {
                    "size" => auto.size = Some(id(value).filter(|size| *size > 0).ok_or_else(|| unknown(text, key))?),
                    "uidmapping" => auto.fixed.uids.push(id_map(value)?),
                    "gidmapping" => auto.fixed.gids.push(id_map(value)?),
                    _ => return Err(unknown(text, key)),
                }
            }
            Ok(Wish::Auto(auto))
        }
        "keep-id" => {
            let (mut uid, mut gid) = (None, None);
            for (key, value) in options {
                let slot = match key {
                    "uid" => &mut uid,
                    "gid" => &mut gid,
                    _ => return Err(unknown(text, key)),
                };
                *slot = Some(id(value).ok_or_else(|| unknown(text, key))?);
            }
            Ok(Wish::Keep { uid, gid })
        }
        "nomap" if text == mode => Ok(Wish::NoMap),
        _ => Err(format!("{text:?} is no user namespace: there are host, auto, keep-id and nomap")),
    }
}

fn unknown(text: &str, key: &str) -> String {
    format!("{text:?}: {key:?}: there are size=NUMBER, uidmapping=MAP and gidmapping=MAP of auto, and uid=ID and gid=ID of keep-id")
}

fn id(text: &str) -> Option<u32> {
    text.parse().ok().filter(|id| *id <= i32::MAX as u32)
}

/// `CONTAINER:HOST[:NUMBER]`.
pub(crate) fn id_map(text: &str) -> Result<IdRange, String> {
    let numbers: Vec<Option<u32>> = text.split(':').map(number).collect();
    let (inside, outside, size) = match numbers[..] {
        [Some(inside), Some(outside)] => (inside, outside, 1),
        [Some(inside), Some(outside), Some(size)] => (inside, outside, size),
        _ => return Err(format!("{text:?} is no map: the form is CONTAINER:HOST[:NUMBER], such as 0:100000:65536")),
    };
    let fits = |first: u32| size > 0 && first.checked_add(size).is_some();
    match fits(inside) && fits(outside) {
        true => Ok(IdRange { inside, outside, size }),
        false => Err(format!("{text:?}: there are no such ids")),
    }
}

/// Digits alone, unlike [`str::parse`], which takes a sign.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| !text.starts_with('+'))
}

/// `FIRST:NUMBER`.
pub(crate) fn pool(text: &str) -> Result<(u32, u32), String> {
    let range = text.split_once(':').and_then(|(first, size)| Some((number(first)?, number(size)?)));
    let fits = range.filter(|(first, size)| *size > 0 && first.checked_add(*size - 1).is_some());
    fits.ok_or_else(|| format!("{text:?} is no range of ids: the form is FIRST:NUMBER, such as 2147483648:1073741824"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_userns_takes() {
        assert_eq!((users("host"), users("")), (Ok(Wish::Host), Ok(Wish::Host)));
        assert_eq!(users("nomap"), Ok(Wish::NoMap));
        assert_eq!(users("keep-id"), Ok(Wish::Keep { uid: None, gid: None }));
        assert_eq!(users("keep-id:uid=5,gid=7"), Ok(Wish::Keep { uid: Some(5), gid: Some(7) }));
        assert_eq!(users("auto"), Ok(Wish::Auto(AutoUsers::default())));
        let Ok(Wish::Auto(auto)) = users("auto:size=7,uidmapping=0:5:2,gidmapping=1:9") else { panic!("auto") };
        assert_eq!((auto.size, auto.fixed.uids[0].size, auto.fixed.gids[0].outside), (Some(7), 2, 9));
        for bad in [
            "host:x",
            "auto:size=0",
            "auto:size",
            "auto:sise=1",
            "keep-id:size=5",
            "keep-id:uid=x",
            "nomap:size=1",
            "private",
            "autos",
        ] {
            assert!(users(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn maps_and_ranges() {
        assert_eq!(id_map("0:100000:65536"), Ok(IdRange { inside: 0, outside: 100_000, size: 65536 }));
        assert_eq!(id_map("5:7").map(|range| range.size), Ok(1));
        for bad in ["", "0", "0:1:0", "0:1:2:3", "+0:1:2", "4294967295:0:1", "a:b:c"] {
            assert!(id_map(bad).is_err(), "{bad}");
        }
        assert_eq!(pool("5:10"), Ok((5, 10)));
    }
}
