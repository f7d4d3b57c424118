//! Amounts of resources: `500m`, `1Gi`, `2e3`.

use serde::{Deserialize, Serialize};

const NANO: i128 = 1_000_000_000;

/// An amount, kept as it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quantity(pub String);

/// Text that is no amount.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
pub struct NotAQuantity;

impl Quantity {
    /// Checks `text` and keeps it.
    ///
    /// # Errors
    /// Text that is no amount.
    pub fn parse(text: &str) -> Result<Self, NotAQuantity> {
        nanos(text).ok_or(NotAQuantity)?;
        Ok(Self(text.into()))
    }

    /// In whole units, rounded up.
    pub fn value(&self) -> i64 {
        clamp(div_up(self.nanos(), NANO))
    }

    /// In thousandths, rounded up.
    pub fn milli(&self) -> i64 {
        clamp(div_up(self.nanos(), NANO / 1000))
    }

    fn nanos(&self) -> i128 {
        nanos(&self.0).unwrap_or(0)
    }

    /// Whether both are the same amount.
    pub fn same(&self, other: &Self) -> bool {
        self.nanos() == other.nanos()
    }

    /// Below zero.
    pub fn is_negative(&self) -> bool {
        self.nanos() < 0
    }

    /// More than the other.
    pub fn exceeds(&self, other: &Self) -> bool {
        self.nanos() > other.nanos()
    }

    /// So many thousandths, written as Kubernetes writes CPU.
    pub fn from_milli(milli: i64) -> Self {
        Self(if milli % 1000 == 0 { (milli / 1000).to_string() } else { format!("{milli}m") })
    }

    /// So many bytes, in the greatest binary unit that fits without a rest.
    pub fn from_bytes(bytes: i64) -> Self {
        for (shift, suffix) in [(60, "Ei"), (50, "Pi"), (40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")] {
            if bytes != 0 && bytes % (1 << shift) == 0 {
                return Self(format!("{}{suffix}", bytes >> shift));
            }
        }
        Self(bytes.to_string())
    }
}

fn div_up(value: i128, by: i128) -> i128 {
    value.div_euclid(by) + i128::from(value.rem_euclid(by) != 0)
}

fn clamp(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

/// In billionths; what is finer is rounded up, as upstream does.
fn nanos(text: &str) -> Option<i128> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
    let (number, suffix) = rest.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let (numerator, denominator) = scale(suffix)?;
    let digits: String = [whole, fraction].concat();
    let digits = digits.trim_start_matches('0');
    if digits.len() > 30 {
        return Some(sign * i128::from(i64::MAX) * NANO);
    }
    let value: i128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    let below = denominator.checked_mul(10i128.checked_pow(u32::try_from(fraction.len()).ok()?)?)?;
    let scaled = value.checked_mul(numerator).and_then(|v| v.checked_mul(NANO));
    Some(sign * scaled.map_or(i128::from(i64::MAX) * NANO, |v| div_up(v, below)))
}

fn scale(suffix: &str) -> Option<(i128, i128)> {
    let decimal = |power: u32| (10i128.pow(power), 1);
    Some(match suffix {
        "" => (1, 1),
        "n" => (1, NANO),
        "u" => (1, 1_000_000),
        "m" => (1, 1000),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        _ => {
            let power: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            let size = 10i128.checked_pow(power.unsigned_abs()).filter(|_| power.abs() <= 18)?;
            if power < 0 { (1, size) } else { (size, 1) }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_kubernetes_reads_them() {
        for (text, milli) in
            [("500m", 500), ("1", 1000), ("0.5", 500), ("1.5Gi", 1_610_612_736_000), ("2e3", 2_000_000), ("100n", 1), ("-1", -1000)]
        {
            assert_eq!(Quantity::parse(text).unwrap().milli(), milli, "{text}");
        }
        assert_eq!(Quantity::parse("1E").unwrap().value(), 1_000_000_000_000_000_000);
        assert_eq!(Quantity::parse("99999999999999999999999999999E").unwrap().value(), i64::MAX);
        for bad in ["", "x", "1x", "1.2.3", ".", "1 Gi", "e3", "--1", "1e99", "é"] {
            assert_eq!(Quantity::parse(bad), Err(NotAQuantity), "{bad}");
        }
    }

    #[test]
    fn amounts_are_written_short() {
        assert_eq!(Quantity::from_milli(1500).0, "1500m");
        assert_eq!(Quantity::from_milli(2000).0, "2");
        assert_eq!(Quantity::from_bytes(3 << 30).0, "3Gi");
        assert_eq!(Quantity::from_bytes(1500).0, "1500");
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[-+0-9.eEinumkKMGTP]{0,40}") {
            let _ = Quantity::parse(&text).map(|q| (q.value(), q.milli()));
        }
    }
}
