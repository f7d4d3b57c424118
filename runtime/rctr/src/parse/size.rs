//! Amounts.

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
        assert_eq!(cpus("0.5"), Ok(500_000_000));
        for text in ["", "0", "-1", "NaN", "x", "100000"] {
            assert!(cpus(text).is_err(), "{text}");
        }
    }
}
