//! Times as the log has them: `2026-03-01T08:15:30.123456789Z`, always 30 bytes, so that records have a fixed layout.

use launch::Nanos;

/// The length of a time in bytes.
pub(crate) const LENGTH: usize = 30;

const SECOND: Nanos = 1_000_000_000;
const DAY: u64 = 86_400;

/// RFC 3339 in UTC with nine digits of a second.
pub fn format(time: Nanos) -> String {
    String::from_utf8_lossy(&bytes(time)).into_owned()
}

/// As [`format`], without an allocation.
pub(crate) fn bytes(time: Nanos) -> [u8; LENGTH] {
    let (seconds, nanos) = (time / SECOND, time % SECOND);
    let (year, month, day) = date(seconds / DAY);
    let second = seconds % DAY;
    let mut text = *b"0000-00-00T00:00:00.000000000Z";
    let fields = [
        (0, 4, year),
        (5, 7, month),
        (8, 10, day),
        (11, 13, second / 3600),
        (14, 16, second / 60 % 60),
        (17, 19, second % 60),
        (20, 29, nanos),
    ];
    for (from, to, mut value) in fields {
        for digit in text[from..to].iter_mut().rev() {
            *digit = b'0' + (value % 10) as u8;
            value /= 10;
        }
    }
    text
}

/// The time in the form that [`format`] gives it; `None` for any other.
pub fn parse(text: &[u8]) -> Option<Nanos> {
    if text.len() != LENGTH {
        return None;
    }
    for (at, separator) in [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (29, b'Z')] {
        if text[at] != separator {
            return None;
        }
    }
    let number = |from: usize, to: usize| {
        text[from..to].iter().try_fold(0u64, |value, digit| digit.is_ascii_digit().then(|| value * 10 + u64::from(digit - b'0')))
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = days(year, month, day) * DAY + hour * 3600 + minute * 60 + second;
    seconds.checked_mul(SECOND)?.checked_add(number(20, 29)?)
}

/// Year, month and day of a day counted from 1970-01-01. Years begin in March here, so that the leap day is the last of its year
/// (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

/// The inverse of [`date`].
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs from `date -u -d @SECONDS`.
    const KNOWN: [(u64, &str); 7] = [
        (0, "1970-01-01T00:00:00.000000000Z"),
        (951_782_399, "2000-02-28T23:59:59.000000000Z"),
        (951_782_400, "2000-02-29T00:00:00.000000000Z"),
        (1_456_790_399, "2016-02-29T23:59:59.000000000Z"),
        (1_709_251_200, "2024-03-01T00:00:00.000000000Z"),
        (4_107_542_399, "2100-02-28T23:59:59.000000000Z"),
        (4_107_542_400, "2100-03-01T00:00:00.000000000Z"),
    ];

    #[test]
    fn known_dates() {
        for (seconds, text) in KNOWN {
            assert_eq!(format(seconds * SECOND), text);
            assert_eq!(parse(text.as_bytes()), Some(seconds * SECOND));
        }
        assert_eq!(format(1_772_352_930_123_456_789), "2026-03-01T08:15:30.123456789Z");
    }

    #[test]
    fn every_day_returns() {
        for day in (0..200 * 366).map(|day| day * DAY * SECOND + 86_399_999_999_999) {
            assert_eq!(parse(&bytes(day)), Some(day));
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "2026-03-01T08:15:30Z",
            "2026-13-01T08:15:30.123456789Z",
            "2026-03-01T08:15:30.12345678xZ",
            "1969-03-01T08:15:30.123456789Z",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
