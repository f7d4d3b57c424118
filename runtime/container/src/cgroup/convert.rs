//! Values of v1 in the terms of v2.

/// `cpu.shares` (2 to 262144, usually 1024) as `cpu.weight` (1 to 10000, usually 100).
///
/// The curve of runc 1.3.2 and crun 1.23: `10^((l² + 125 l) / 612 - 7 / 34)` with `l = log2(shares)`, rounded up. It keeps the least,
/// the usual and the greatest value; the straight line used before made 39 of 1024, so that a container got less than half of what
/// a service without any setting gets.
pub(super) fn weight(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        3..262_144 => {
            let l = (shares as f64).log2();
            10f64.powf((l * l + 125.0 * l) / 612.0 - 7.0 / 34.0).ceil() as u64
        }
        _ => 10_000,
    }
}

/// `blkio.weight` (10 to 1000) as `io.weight` (1 to 10000): a straight line.
pub(super) fn io_weight(weight: u16) -> u64 {
    1 + (u64::from(weight).clamp(10, 1000) - 10) * 9999 / 990
}

/// Memory plus swap, as v1 and OCI count, as swap alone. -1 is no limit, 0 is not given.
///
/// # Errors
/// Why the two do not fit together.
pub(super) fn swap(memory_and_swap: i64, memory: i64) -> Result<i64, &'static str> {
    match (memory_and_swap, memory) {
        // Docker means "no limit on either" with an unlimited memory and no word on swap.
        (0, -1) => Ok(-1),
        (swap @ (0 | -1), _) => Ok(swap),
        (swap, -1) => Ok(swap),
        (_, 0) => Err("a limit on memory and swap needs one on memory"),
        (swap, memory) if swap < memory => Err("the limit on memory and swap is below that on memory"),
        (swap, memory) => Ok(swap - memory),
    }
}

/// The word for a limit: `max` when there is none.
pub(super) fn or_max(limit: i64) -> String {
    if limit < 0 { "max".to_owned() } else { limit.to_string() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_curve_keeps_three_points() {
        for (shares, expected) in
            [(0, 1), (2, 1), (3, 2), (102, 17), (512, 59), (1024, 100), (2048, 174), (262_144, 10_000), (u64::MAX, 10_000)]
        {
            assert_eq!(weight(shares), expected, "{shares}");
        }
    }

    #[test]
    fn swap_is_what_is_beyond_memory() {
        assert_eq!(swap(300, 100), Ok(200));
        assert_eq!(swap(0, 100), Ok(0));
        assert_eq!(swap(-1, 100), Ok(-1));
        assert_eq!(swap(0, -1), Ok(-1));
        assert!(swap(50, 100).is_err());
        assert!(swap(50, 0).is_err());
    }

    proptest! {
        #[test]
        fn more_shares_never_weigh_less(a in 0u64..400_000, b in 0u64..400_000) {
            let (less, more) = (a.min(b), a.max(b));
            prop_assert!(weight(less) <= weight(more));
            prop_assert!((1..=10_000).contains(&weight(a)));
        }

        #[test]
        fn io_weights_stay_in_range(a: u16, b: u16) {
            prop_assert!((1..=10_000).contains(&io_weight(a)));
            prop_assert!(io_weight(a.min(b)) <= io_weight(a.max(b)));
        }
    }
}
