//! Sizes and times as Docker prints them.

use std::time::Duration;

use engine::Nanos;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// `3.1MB`: decimal units, three digits.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = match value {
        _ if unit == 0 => 0,
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{}", UNITS[unit])
}

/// `3.1MiB`: binary units, four digits.
pub(crate) fn binary_size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = match value {
        _ if unit == 0 => 0,
        value if value < 9.9995 => 3,
        value if value < 99.995 => 2,
        value if value < 999.95 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{}", UNITS[unit])
}

/// `5 minutes`.
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match seconds {
        0 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        60..120 => "About a minute".to_owned(),
        120..2700 => format!("{minutes} minutes"),
        2700..5400 => "About an hour".to_owned(),
        5400..172_800 => format!("{hours} hours"),
        172_800..1_209_600 => format!("{} days", seconds / 86_400),
        1_209_600..5_184_000 => format!("{} weeks", seconds / 604_800),
        5_184_000..63_072_000 => format!("{} months", seconds / 2_592_000),
        _ => format!("{} years", seconds / 31_536_000),
    }
}

/// The time from `then` to now.
pub(crate) fn since(then: Nanos) -> Duration {
    Duration::from_nanos(engine::now().saturating_sub(then))
}

/// RFC 3339 with nanoseconds, in UTC.
pub(crate) fn rfc3339(time: Nanos) -> String {
    if time == 0 {
        return "0001-01-01T00:00:00Z".to_owned();
    }
    Timestamp::from_nanosecond(i128::from(time)).map_or_else(|_| String::new(), |time| format!("{time:.9}"))
}

/// `02:42:ac:11:00:02`.
pub(crate) fn mac(mac: &[u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Nanoseconds since 1970 of an RFC 3339 time.
pub(crate) fn parse_rfc3339(text: &str) -> Option<Nanos> {
    Nanos::try_from(text.parse::<Timestamp>().ok()?.as_nanosecond()).ok()
}

/// Nanoseconds since 1970 of a date, or of a date and time, on this host's clock, such as `2026-01-31` or `2026-01-31T12:00:00`.
pub(crate) fn parse_civil(text: &str) -> Option<Nanos> {
    let civil = text.parse::<DateTime>().ok()?;
    Nanos::try_from(civil.to_zoned(TimeZone::system()).ok()?.timestamp().as_nanosecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_docker() {
        for (bytes, text) in
            [(0, "0B"), (999, "999B"), (1000, "1kB"), (4_270_000, "4.27MB"), (77_800_000, "77.8MB"), (1_100_000_000, "1.1GB")]
        {
            assert_eq!(size(bytes), text);
        }
        for (bytes, text) in [(0, "0B"), (1023, "1023B"), (1536, "1.5KiB"), (8_000_000_000, "7.451GiB"), (1 << 20, "1MiB")] {
            assert_eq!(binary_size(bytes), text);
        }
        for (seconds, text) in [
            (0, "Less than a second"),
            (59, "59 seconds"),
            (61, "About a minute"),
            (300, "5 minutes"),
            (7200, "2 hours"),
            (200_000, "2 days"),
            (2_000_000, "3 weeks"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
        assert_eq!(rfc3339(1_700_000_000_000_000_001), "2023-11-14T22:13:20.000000001Z");
        assert_eq!(parse_rfc3339("2023-11-14T22:13:20.000000001Z"), Some(1_700_000_000_000_000_001));
    }
}
