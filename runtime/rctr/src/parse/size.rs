//! Amounts.

use std::time::Duration;

use engine::{DiskLimit, DiskLimitKind, Grace};

/// Bytes from `512m`, `1.5g`, `64k`, `100b` or a plain number, in Docker's binary units.
pub(crate) fn bytes(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is no size: give a number with b, k, m or g, such as 512m");
    let lower = text.trim().to_ascii_lowercase();
    let number = lower.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit: i64 = match &lower[number.len()..] {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        _ => return Err(wrong()),
    };
    let plain = !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit() || digit == b'.');
    let amount: f64 = number.trim().parse().ok().filter(|_| plain).ok_or_else(wrong)?;
    let bytes = amount * unit as f64;
    if bytes < 1.0 || bytes > i64::MAX as f64 { Err(wrong()) } else { Ok(bytes as i64) }
}

/// [`bytes`], or -1 for no limit.
pub(crate) fn bytes_or_none(text: &str) -> Result<i64, String> {
    if text == "-1" { Ok(-1) } else { bytes(text).map_err(|why| format!("{why}, or -1 for no limit")) }
}

/// Numbers and ranges of numbers, such as `0-2,7`, as they are.
pub(crate) fn list(text: &str) -> Result<String, String> {
    let number = |text: &str| text.parse::<u16>().ok().filter(|_| text.bytes().all(|digit| digit.is_ascii_digit()));
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        number(first).zip(number(last)).is_some_and(|(first, last)| first <= last)
    };
    let right = text.split(',').all(range);
    right.then(|| text.to_owned()).ok_or_else(|| format!("{text:?} is no list of numbers and ranges, such as 0-2,7"))
}

/// A disk and a limit for it: `/dev/sda:10mb`, or a plain number where no bytes are meant.
pub(crate) fn disk(text: &str, kind: DiskLimitKind) -> Result<DiskLimit, String> {
    let wrong = |form: &str| format!("{text:?}: the form is /dev/DISK:{form}");
    let (path, value) = text.rsplit_once(':').filter(|(path, _)| path.starts_with("/dev/")).ok_or_else(|| match kind {
        DiskLimitKind::ReadBps | DiskLimitKind::WriteBps => wrong("BYTES, such as /dev/sda:10mb"),
        _ => wrong("NUMBER, such as /dev/sda:500"),
    })?;
    let value = match kind {
        DiskLimitKind::ReadBps | DiskLimitKind::WriteBps => bytes(value)? as u64,
        DiskLimitKind::Weight => {
            let weight = value.parse().ok().filter(|weight| (10..=1000).contains(weight));
            weight.ok_or_else(|| wrong("WEIGHT, with a weight from 10 to 1000"))?
        }
        _ => value.parse().ok().filter(|count| *count > 0).ok_or_else(|| wrong("NUMBER, such as /dev/sda:500"))?,
    };
    Ok(DiskLimit { path: path.into(), kind, value })
}

/// Billionths of a CPU from `1.5`.
pub(crate) fn cpus(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no number of CPUs: give a decimal number above 0, such as 1.5");
    let amount: f64 = text.parse().map_err(|_| wrong())?;
    if !amount.is_finite() || amount <= 0.0 || amount > 1e6 {
        return Err(wrong());
    }
    let available = std::thread::available_parallelism().map_or(f64::MAX, |count| count.get() as f64);
    if amount > available {
        return Err(format!("{text} CPUs are more than the {available} of this host"));
    }
    Ok((amount * 1e9).round() as u64)
}

/// Whole seconds; -1 is for ever.
pub(crate) fn seconds(text: &str) -> Result<i64, String> {
    text.parse()
        .ok()
        .filter(|seconds| *seconds >= -1)
        .ok_or_else(|| format!("{text:?} is no number of seconds (-1 waits for ever)"))
}

/// The same, as a time of grace.
pub(crate) fn grace(text: &str) -> Result<Grace, String> {
    Ok(u64::try_from(seconds(text)?).map_or(Grace::Forever, |seconds| Grace::For(Duration::from_secs(seconds))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, value) in [("6m", 6 << 20), ("1.5g", 3 << 29), ("100", 100), ("64K", 64 << 10), ("1GiB", 1 << 30)] {
            assert_eq!(bytes(text), Ok(value), "{text}");
        }
        for text in ["", "m", "-1", "1x", "0", "1e3", "NaN", "inf", "99999999999999999999g", "1..2m"] {
            assert!(bytes(text).is_err(), "{text}");
        }
        assert_eq!((bytes_or_none("-1"), bytes_or_none("1k")), (Ok(-1), Ok(1024)));
        for text in ["", "-1", "0-", "3-1", "a", "0,,1", "+1", "99999"] {
            assert!(list(text).is_err(), "{text}");
        }
        assert_eq!(list("0-2,7").as_deref(), Ok("0-2,7"));
        let of = |kind, value| Ok(DiskLimit { path: "/dev/sda".into(), kind, value });
        assert_eq!(disk("/dev/sda:1mb", DiskLimitKind::ReadBps), of(DiskLimitKind::ReadBps, 1 << 20));
        assert_eq!(disk("/dev/sda:500", DiskLimitKind::WriteIops), of(DiskLimitKind::WriteIops, 500));
        for (text, kind) in
            [("sda:1", DiskLimitKind::ReadBps), ("/dev/sda", DiskLimitKind::ReadIops), ("/dev/sda:5", DiskLimitKind::Weight)]
        {
            assert!(disk(text, kind).is_err(), "{text}");
        }
        assert_eq!(cpus("0.5"), Ok(500_000_000));
        for text in ["", "0", "-1", "NaN", "x", "100000"] {
            assert!(cpus(text).is_err(), "{text}");
        }
    }
}
