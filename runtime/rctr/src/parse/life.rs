//! Restart policies and spans of time.

use engine::{Nanos, Policy};

/// `no`, `always`, `unless-stopped` or `on-failure[:TIMES]`.
pub(crate) fn policy(text: &str) -> Result<Policy, String> {
    let wrong = || format!("{text:?} is no restart policy: there are no, always, unless-stopped and on-failure[:TIMES]");
    match (text, text.strip_prefix("on-failure")) {
        ("" | "no", _) => Ok(Policy::No),
        ("always", _) => Ok(Policy::Always),
        ("unless-stopped", _) => Ok(Policy::UnlessStopped),
        (_, Some("")) => Ok(Policy::OnFailure(0)),
        (_, Some(times)) => times.strip_prefix(':').and_then(|times| times.parse().ok()).map(Policy::OnFailure).ok_or_else(wrong),
        _ => Err(wrong()),
    }
}

/// A span such as `1m30s`, `500ms` or `2h`.
pub(crate) fn duration(text: &str) -> Result<Nanos, String> {
    let span = text.parse::<jiff::SignedDuration>().ok().and_then(|span| Nanos::try_from(span.as_nanos()).ok());
    let plain = (text == "0").then_some(0);
    span.or(plain).ok_or_else(|| format!("{text:?} is no span of time: give numbers with ms, s, m or h, such as 1m30s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies() {
        for (text, policy_of) in [
            ("no", Policy::No),
            ("", Policy::No),
            ("always", Policy::Always),
            ("unless-stopped", Policy::UnlessStopped),
            ("on-failure", Policy::OnFailure(0)),
            ("on-failure:3", Policy::OnFailure(3)),
        ] {
            assert_eq!(policy(text), Ok(policy_of), "{text}");
        }
        for text in ["never", "on-failure:", "on-failure:-1", "on-failure:x", "always:3", "on-failures"] {
            assert!(policy(text).is_err(), "{text}");
        }
    }

    #[test]
    fn spans() {
        for (text, nanos) in [("1m30s", 90_000_000_000), ("500ms", 500_000_000), ("2h", 7_200_000_000_000), ("0", 0), ("0s", 0)] {
            assert_eq!(duration(text), Ok(nanos), "{text}");
        }
        for text in ["", "5", "-1s", "soon"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
