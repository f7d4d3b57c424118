//! Lists of CPUs and memory nodes, as the kernel writes them: `0-3,7`.

/// The bits of a list, bit N of word M for 64 * M + N. Blanks around parts and empty parts are fine, as with runc.
///
/// # Errors
/// What is wrong with it.
pub(super) fn bits(list: &str, above: u32) -> Result<Vec<u64>, String> {
    let number = |text: &str| match text.parse::<u32>() {
        Ok(number) if number < above => Ok(number),
        Ok(number) => Err(format!("{number} in {list:?} is above {}", above - 1)),
        Err(_) => Err(format!("{text:?} in {list:?} is not a number")),
    };
    let mut bits = Vec::new();
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(format!("{part:?} in {list:?} ends before it begins"));
        }
        if bits.len() <= last as usize / 64 {
            bits.resize(last as usize / 64 + 1, 0u64);
        }
        (first..=last).for_each(|at| bits[at as usize / 64] |= 1 << (at % 64));
    }
    Ok(bits)
}

#[cfg(test)]
mod tests {
    use super::bits;

    #[test]
    fn lists_are_read() {
        assert_eq!(bits("0-3,7", 1024), Ok(vec![0x8f]));
        assert_eq!(bits(" 0 ,, 64-65,", 1024), Ok(vec![1, 3]));
        assert_eq!(bits("", 1024), Ok(vec![]));
        assert_eq!(bits("1023", 1024).map(|bits| (bits.len(), bits[15])), Ok((16, 1 << 63)));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        assert_eq!(bits("3-1", 1024).unwrap_err(), "\"3-1\" in \"3-1\" ends before it begins");
        assert_eq!(bits("1024", 1024).unwrap_err(), "1024 in \"1024\" is above 1023");
        for text in ["x", "-", "1-", "-1", "1-2-3", "1 2", "4294967296", "0x1", "+1 -2"] {
            assert!(bits(text, 1024).unwrap_err().contains("is not a number"), "{text}");
        }
    }
}
