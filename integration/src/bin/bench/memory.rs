//! Memory of a process.

/// `Pss` of proc_pid_smaps(5).
pub(crate) fn share(smaps: &str) -> Option<u64> {
    smaps.lines().find_map(|line| line.strip_prefix("Pss:"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_read_from_its_own_line() {
        let smaps = "00400000-7fff rollup\nRss: 100 kB\nPss:      61 kB\nPss_Dirty: 52 kB\n";
        assert_eq!(share(smaps), Some(61));
        assert_eq!(share(""), None);
    }
}
