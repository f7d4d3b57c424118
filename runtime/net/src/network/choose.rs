//! Subnets that nobody uses.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::error::{Error, Result};
use crate::lease::hash;
use crate::netlink::route::{self, Route};
use crate::netlink::{NetlinkError, Socket};

/// Candidates for the default network: apart from Docker's first choices (172.17 and up) and Podman's (10.88 and up).
pub(super) const FIRST: [Ipv4Net; 12] = [
    pool(172, 29, 0, 16),
    pool(172, 30, 0, 16),
    pool(172, 31, 0, 16),
    pool(172, 28, 0, 16),
    pool(172, 27, 0, 16),
    pool(10, 201, 0, 16),
    pool(10, 202, 0, 16),
    pool(10, 203, 0, 16),
    pool(10, 204, 0, 16),
    pool(10, 205, 0, 16),
    pool(192, 168, 201, 24),
    pool(192, 168, 202, 24),
];

/// What other networks are cut from, /24 each. Some 5000, and none of them the whole of a range that a company may use: Docker's /16 and
/// /20 are used up after thirty networks.
const LATER: [Ipv4Net; 7] = [
    pool(10, 206, 0, 16),
    pool(10, 207, 0, 16),
    pool(10, 208, 0, 14),
    pool(10, 212, 0, 14),
    pool(10, 216, 0, 13),
    pool(172, 26, 0, 16),
    pool(192, 168, 203, 24),
];

const fn pool(a: u8, b: u8, c: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), prefix)
}

/// The first /24 that overlaps neither a route of this host nor one of `taken`.
///
/// # Errors
/// [`Error::NoFreeSubnet`].
pub fn free_subnet(taken: &[IpNet]) -> Result<Ipv4Net> {
    let routes = routes()?;
    let mut cut = LATER.iter().flat_map(|pool| pool.subnets(24).into_iter().flatten());
    cut.find(|net| free(*net, &routes) && !taken.iter().any(|other| overlap((*net).into(), *other))).ok_or_else(|| {
        Error::NoFreeSubnet { tried: LATER.map(|pool| pool.to_string()).join(", "), instead: "give --subnet".into() }
    })
}

/// A /64 of a unique local prefix (RFC 4193) that depends on `seed`, which should be random.
pub fn private_v6(seed: &str) -> Ipv6Net {
    let [first, second] = ["v6", "v6 again"].map(|salt| hash(format!("{salt} {seed}").as_bytes()));
    // fd, 40 random bits of a global id, 16 of a subnet id.
    let bits = (0xfd_u128 << 120) | (u128::from(first & 0xff_ffff_ffff) << 80) | (u128::from(second & 0xffff) << 64);
    Ipv6Net::new_assert(Ipv6Addr::from_bits(bits), 64)
}

/// A route of this host that leads into `net`, or covers it: written as it is shown by ip(8). Bridges of ours do not exist before their
/// network is used, so a network that is only being made has none.
///
/// # Errors
/// The kernel does not tell.
pub fn route_within(net: IpNet) -> Result<Option<IpNet>> {
    Ok(match net {
        IpNet::V4(net) => {
            let route = routes()?.into_iter().find(|route| counts(route) && overlap(net.into(), route.to.into()));
            route.map(|route| route.to.into())
        }
        // Every link has a route to fe80::/64, and those to others are few: what is given by hand is believed.
        IpNet::V6(_) => None,
    })
}

fn routes() -> Result<Vec<Route>> {
    let failed = |source: NetlinkError| Error::Netlink { what: "list this host's routes".into(), source };
    Socket::route().and_then(|socket| route::routes(&socket)).map_err(failed)
}

/// The first candidate for the default network that overlaps no route.
pub(super) fn first(routes: &[Route], file: &Path) -> Result<Ipv4Net> {
    FIRST.iter().copied().find(|pool| free(*pool, routes)).ok_or_else(|| Error::NoFreeSubnet {
        tried: FIRST.map(|pool| pool.to_string()).join(", "),
        instead: format!("write one into {}", file.display()),
    })
}

fn free(net: Ipv4Net, routes: &[Route]) -> bool {
    !routes.iter().any(|route| counts(route) && overlap(net.into(), route.to.into()))
}

/// Default routes do not count, nor do the halves and quarters of the internet that VPN clients use in their place (`0.0.0.0/1`).
fn counts(route: &Route) -> bool {
    route.to.prefix_len() >= 8
}

/// One of the two contains the other: subnets do not overlap otherwise.
pub(crate) fn overlap(one: IpNet, other: IpNet) -> bool {
    one.contains(&other) || other.contains(&one)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(list: &[&str]) -> Vec<Route> {
        list.iter().map(|to| Route { to: to.parse().unwrap(), link: None }).collect()
    }

    #[test]
    fn a_pool_overlaps_no_route() {
        let choose = |list: &[&str]| first(&routes(list), Path::new("/f")).map(|net| net.to_string()).ok();
        assert_eq!(choose(&[]).unwrap(), "172.29.0.0/16");
        assert_eq!(choose(&["0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "192.168.1.0/24"]).unwrap(), "172.29.0.0/16");
        assert_eq!(choose(&["172.29.7.4/32"]).unwrap(), "172.30.0.0/16");
        assert_eq!(choose(&["172.16.0.0/12"]).unwrap(), "10.201.0.0/16");
        assert_eq!(choose(&["172.16.0.0/12", "10.0.0.0/8"]).unwrap(), "192.168.201.0/24");
        assert_eq!(choose(&["172.16.0.0/12", "10.0.0.0/8", "192.168.0.0/16"]), None);
    }

    #[test]
    fn pools_do_not_meet() {
        let all: Vec<_> = FIRST.iter().chain(&LATER).collect();
        for (at, one) in all.iter().enumerate() {
            assert!(all[..at].iter().all(|other| !overlap((**one).into(), (**other).into())), "{one}");
            assert_eq!(one.trunc(), **one);
        }
    }

    #[test]
    fn private_prefixes_are_private_and_differ() {
        let (one, other) = (private_v6("a"), private_v6("b"));
        assert!(one != other && one.addr().is_unique_local() && one.trunc() == one, "{one} {other}");
    }
}
