//! Names and numbers that nobody can guess.

fn fill<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // the kernel's source does not fail once it is there at all
    getrandom::fill(&mut bytes).unwrap_or_else(|_| unreachable!("the kernel has no random bytes"));
    bytes
}

/// A random UUID.
pub(crate) fn uid() -> String {
    let mut b: [u8; 16] = fill();
    b[6] = b[6] & 0x0f | 0x40;
    b[8] = b[8] & 0x3f | 0x80;
    let hex: String = b.iter().map(|b| format!("{b:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Letters and digits of which no words come, as Kubernetes completes names.
pub(crate) fn letters(count: usize) -> String {
    const ALL: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    (0..count).map(|_| char::from(ALL[below(27) as usize])).collect()
}

/// A number below `end`.
pub(crate) fn below(end: u32) -> u32 {
    u32::try_from(u64::from_le_bytes(fill()) % u64::from(end.max(1))).unwrap_or(0)
}
