//! Times as people give them.

use engine::Nanos;

use crate::output::amount;

/// A time, or a span before now.
pub(crate) fn moment(text: &str) -> Result<Nanos, String> {
    let ago = || {
        let span = text.parse::<jiff::SignedDuration>().ok()?;
        Some(engine::now().saturating_sub(Nanos::try_from(span.as_nanos()).ok()?))
    };
    let seconds = || text.parse::<f64>().ok().filter(|seconds| *seconds >= 0.0).map(|seconds| (seconds * 1e9) as Nanos);
    let found = amount::parse_rfc3339(text).or_else(|| amount::parse_civil(text)).or_else(seconds).or_else(ago);
    found.ok_or_else(|| format!("{text:?} is no time: give RFC 3339 such as 2026-01-31T12:00:00Z, or a span such as 10m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_spans() {
        assert_eq!(moment("2026-01-31T12:00:00Z"), Ok(1_769_860_800_000_000_000));
        assert_eq!(moment("1700000000.5"), Ok(1_700_000_000_500_000_000));
        let hour_ago = engine::now() - 3_600_000_000_000;
        assert!(moment("1h").is_ok_and(|time| time >= hour_ago && time - hour_ago < 60_000_000_000));
        for text in ["", "soon", "-1", "1x"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}
