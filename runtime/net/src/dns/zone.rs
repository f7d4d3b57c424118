//! What names and addresses mean in a network, read where they are kept, so nothing can be stale.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Zone;
use crate::{lease, names};

/// More addresses than this are never told.
const MOST: usize = 256;

/// The addresses that `name` has in the first network that knows it. Empty where none does.
pub(super) fn addresses(zones: &[Zone], name: &str) -> Vec<IpAddr> {
    let mut found = zones.iter().flat_map(|zone| {
        let own = name.strip_suffix(&*zone.name.to_ascii_lowercase()).and_then(|rest| rest.strip_suffix('.'));
        [Some(name), own].into_iter().flatten().map(move |name| in_zone(zone, name))
    });
    found.find(|addresses| !addresses.is_empty()).unwrap_or_default()
}

fn in_zone(zone: &Zone, name: &str) -> Vec<IpAddr> {
    // A name is one path component: it has no slash, as all that is no part of a name reads as `?`, and is not `.` or `..`, as labels are
    // not empty.
    if name.is_empty() || name.len() > 253 || name.contains('/') || name.starts_with('.') {
        return Vec::new();
    }
    let entries = fs::read_dir(zone.state.join(names::FOLDER).join(name)).into_iter().flatten().flatten();
    let texts = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    let mut found: Vec<IpAddr> = Vec::new();
    for text in texts.take(MOST) {
        found.extend(text.to_str().unwrap_or_default().split(',').filter_map(|address| address.parse::<IpAddr>().ok()));
    }
    found
}

/// The name of whoever has `address` in one of the networks.
pub(super) fn name(zones: &[Zone], address: IpAddr) -> Option<String> {
    zones.iter().find_map(|zone| Some(format!("{}.{}", lease::name(&zone.state, address)?, zone.name)))
}

/// The address in a name below `in-addr.arpa` or `ip6.arpa` (RFC 1035, 3.5; RFC 3596, 2.5).
pub fn reversed(name: &str) -> Option<IpAddr> {
    if let Some(rest) = name.strip_suffix(".in-addr.arpa") {
        let mut octets = [0; 4];
        let mut parts = rest.split('.');
        for octet in octets.iter_mut().rev() {
            *octet = parts.next()?.parse().ok()?;
        }
        return parts.next().is_none().then(|| Ipv4Addr::from(octets).into());
    }
    let rest = name.strip_suffix(".ip6.arpa")?;
    let mut bits = 0_u128;
    let mut count = 0;
    for digit in rest.split('.') {
        if digit.len() != 1 || count == 32 {
            return None;
        }
        bits |= u128::from(u8::from_str_radix(digit, 16).ok()?) << (4 * count);
        count += 1;
    }
    (count == 32).then(|| Ipv6Addr::from_bits(bits).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reversed_names_are_addresses() {
        assert_eq!(reversed("4.3.2.10.in-addr.arpa"), Some("10.2.3.4".parse().unwrap()));
        let v6 = format!("9{}0.0.d.f.ip6.arpa", ".0".repeat(27) + ".");
        assert_eq!(reversed(&v6), Some("fd00::9".parse().unwrap()), "{v6}");
        for bad in ["3.2.10.in-addr.arpa", "1.4.3.2.10.in-addr.arpa", "x.3.2.10.in-addr.arpa", "a.ip6.arpa", "web", "in-addr.arpa"]
        {
            assert_eq!(reversed(bad), None, "{bad}");
        }
    }
}
