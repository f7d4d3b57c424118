//! Whom to ask.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::MetadataExt;

use super::Config;

/// As resolv.conf(5) has it.
const MOST: usize = 3;
/// Whom Docker and Podman ask where the host names nobody.
const LAST_RESORT: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8)), IpAddr::V4(Ipv4Addr::new(8, 8, 4, 4))];

/// The servers, read again when the host's file is another one: it changes when a laptop moves, or a VPN comes up.
#[derive(Debug, Default)]
pub(super) struct Servers {
    /// Device, inode and time of change of the file that was read, and its size.
    read: Option<(u64, u64, i64, i64, u64)>,
    found: Vec<IpAddr>,
}

impl Servers {
    /// Those to ask now, the first first.
    pub(super) fn now(&mut self, config: &Config) -> &[IpAddr] {
        if !config.servers.is_empty() {
            self.found.clone_from(&config.servers);
            return &self.found;
        }
        let stat = fs::metadata(&config.resolv_conf).ok();
        let read = stat.map(|stat| (stat.dev(), stat.ino(), stat.ctime(), stat.ctime_nsec(), stat.size()));
        if read.is_none() || read != self.read || self.found.is_empty() {
            self.found = parse(&fs::read_to_string(&config.resolv_conf).unwrap_or_default());
            self.read = read;
        }
        &self.found
    }
}

/// The `nameserver` lines. Addresses with a scope (`fe80::1%eth0`) need a socket of that link, and are left out.
fn parse(text: &str) -> Vec<IpAddr> {
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()?.parse().ok()).flatten()
    });
    let found: Vec<IpAddr> = lines.take(MOST).collect();
    if found.is_empty() { LAST_RESORT.to_vec() } else { found }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("resolv.conf");
        let config = Config { resolv_conf: file.clone(), ..Config::default() };
        let mut servers = Servers::default();
        assert_eq!(servers.now(&config), LAST_RESORT);
        fs::write(&file, "# x\nnameserver 127.0.0.53\nsearch lan\nnameserver fe80::1%eth0\nnameserver ::1\n").unwrap();
        assert_eq!(servers.now(&config), ["127.0.0.53", "::1"].map(|ip| ip.parse::<IpAddr>().unwrap()));
        let new = folder.path().join("new");
        fs::write(&new, "nameserver 9.9.9.9\n").unwrap();
        fs::rename(&new, &file).unwrap();
        assert_eq!(servers.now(&config), ["9.9.9.9".parse::<IpAddr>().unwrap()]);
        let given = Config { servers: vec![IpAddr::from([1, 1, 1, 1])], ..config };
        assert_eq!(servers.now(&given), given.servers);
    }
}
