//! What outlives a process unless it is undone: addresses, names, ports, and the sockets that hold them.

use std::net::IpAddr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{SendFlags, send};

use crate::attach::Undo;
use crate::conntrack;
use crate::error::{Error, Result};
use crate::lease::Lease;
use crate::names::Name;
use crate::netlink::{NetlinkError, Socket};
use crate::nft::{self, Published};
use crate::port::{Port, Protocol, Reserved};
use crate::relay::{MAX_RELAYS, Relay};

/// How often a port is chosen again that turns out to be a dead container's.
const CHOICES: u32 = 64;
/// Connections that may wait until a relay accepts them. The host's `net.core.somaxconn` may be less.
const BACKLOG: i32 = 4096;

/// One container's claims. Dropping withdraws its ports, then gives its addresses back: while elements lead to an address, its lease
/// says whose they are.
#[derive(Debug)]
pub(crate) struct Claims {
    /// The table of the network whose addresses the ports lead to.
    table: String,
    /// There until it is handed over.
    netfilter: Option<Socket>,
    published: Vec<Published>,
    reserved: Vec<Reserved>,
    /// Those of them that are relayed.
    relays: Vec<Relay>,
    names: Vec<Name>,
    leases: Vec<Lease>,
}

impl Drop for Claims {
    fn drop(&mut self) {
        let Some(netfilter) = &self.netfilter else { return };
        for batch in nft::remove(&self.table, &self.published) {
            let _ = send(netfilter, &batch, SendFlags::empty());
        }
    }
}

impl Claims {
    pub(crate) fn new(netfilter: Socket) -> Self {
        Claims {
            table: String::new(),
            netfilter: Some(netfilter),
            published: Vec::new(),
            reserved: Vec::new(),
            relays: Vec::new(),
            names: Vec::new(),
            leases: Vec::new(),
        }
    }

    /// The socket for nf_tables, until it is handed over.
    pub(crate) fn netfilter(&self) -> Result<&Socket> {
        let gone = || NetlinkError::new(sys::Error::new("sendto(netlink)", Errno::BADF));
        self.netfilter.as_ref().ok_or_else(|| Error::Netlink { what: "use nf_tables".into(), source: gone() })
    }

    /// Owns `leases` and `names` from now on.
    pub(crate) fn add(&mut self, leases: impl IntoIterator<Item = Lease>, names: Vec<Name>) {
        self.leases.extend(leases);
        self.names.extend(names);
    }

    /// The ports, each with the host port that was found.
    pub(crate) fn ports(&self) -> Vec<Port> {
        self.reserved.iter().map(|reserved| reserved.port).collect()
    }

    /// Reserves all ports, then lets them lead to the container's address `v4`, and those of IPv6 to `v6`. What is published on any address
    /// is published on those of IPv6, too, if the container has one, or else if `relays`: somebody will serve what rules cannot.
    pub(crate) fn publish(&mut self, table: &str, (v4, v6): (IpAddr, Option<IpAddr>), ports: &[Port], relays: bool) -> Result<()> {
        let Some(netfilter) = self.netfilter.as_ref().filter(|_| !ports.is_empty()) else { return Ok(()) };
        table.clone_into(&mut self.table);
        let leads = |port: &Port| port.by_rules(v4, v6).is_some() || relays && Relay::of(port, v4, v6).is_some();
        let (asked, reserved) = reserve(ports, v6.is_some(), leads)?;
        self.reserved = reserved;
        let mut attempts = 0;
        loop {
            let all = self.reserved.iter().map(|reserved| reserved.port);
            let published: Vec<_> = all.filter_map(|port| Some(Published { port, to: port.by_rules(v4, v6)? })).collect();
            match nft::add(netfilter, &self.table, &published) {
                Ok(()) => {
                    self.published = published;
                    break;
                }
                Err((error, Some(taken))) if error.errno() == Errno::EXIST => {
                    attempts += 1;
                    match self.reserved.iter().position(|reserved| reserved.port == taken) {
                        // The new socket is bound before the old one closes: it cannot get the same port again.
                        Some(index) if asked[index].host_port == 0 && attempts < CHOICES => {
                            self.reserved[index] = Reserved::bind(&asked[index])?;
                        }
                        _ => return Err(taken.in_use()),
                    }
                }
                Err((source, _)) => return Err(Error::Netlink { what: "publish ports".into(), source }),
            }
        }
        if relays {
            self.relays = relayed(self.reserved.iter().map(|reserved| reserved.port), v4, v6)?;
        }
        for published in self.published.iter().filter(|published| published.port.protocol == Protocol::Udp) {
            // A kernel without ctnetlink keeps such flows until they time out: nothing to fail for.
            let _ = conntrack::forget(netfilter, &published.port);
        }
        Ok(())
    }

    /// Owns ports that were reserved elsewhere, all of which are relayed to the container.
    pub(crate) fn relay(&mut self, outside: Outside, (v4, v6): (IpAddr, Option<IpAddr>)) {
        self.reserved = outside.0;
        self.relays = self.reserved.iter().map(|reserved| Relay::always(&reserved.port, v4, v6)).collect();
    }

    /// Shows the reserved ports to others, once they lead to the container.
    pub(crate) fn listen(&self) -> Result<()> {
        let is_relayed = |port: &Port| self.relays.iter().any(|relay| relay.port == *port);
        self.reserved.iter().try_for_each(|reserved| reserved.listen(if is_relayed(&reserved.port) { BACKLOG } else { 0 }))
    }

    /// The sockets to hold and those to relay, which do not block.
    pub(crate) fn sockets(&mut self) -> (Vec<OwnedFd>, Vec<(OwnedFd, Relay)>) {
        let (mut held, mut relayed) = (Vec::new(), Vec::new());
        for Reserved { socket, port } in std::mem::take(&mut self.reserved) {
            match (socket, self.relays.iter().find(|relay| relay.port == port)) {
                (Some(socket), Some(relay)) => relayed.push((socket, *relay)),
                (socket, _) => held.extend(socket),
            }
        }
        (held, relayed)
    }

    /// Gives up ownership: the socket of nf_tables, and the rest as data. The sockets must be taken before, or are closed.
    pub(crate) fn keep(mut self) -> (Option<OwnedFd>, Undo) {
        let mut undo = Undo { nftables: nft::remove(&self.table, &std::mem::take(&mut self.published)), ..Undo::default() };
        for (path, folder) in std::mem::take(&mut self.names).into_iter().map(Name::keep) {
            undo.unlink.push(path);
            undo.folders.push(folder);
        }
        undo.unlink.extend(std::mem::take(&mut self.leases).into_iter().map(Lease::keep));
        (self.netfilter.take().map(Socket::into_fd), undo)
    }
}

/// Published ports that are reserved in the network namespace of whoever bound them, for a container whose bridge is in another one: no rule
/// for packets leads there, and all of them are relayed.
#[derive(Debug, Default)]
pub struct Outside(Vec<Reserved>);

impl Outside {
    /// Reserves ports in the network namespace of the calling thread.
    ///
    /// # Errors
    /// Somebody has one of them, or there are too many to be relayed; SCTP is not.
    pub fn bind(ports: &[Port]) -> Result<Outside> {
        if let Some(port) = ports.iter().find(|port| port.protocol == Protocol::Sctp) {
            return Err(Error::NotRelayed { protocol: port.protocol, port: port.container_port });
        }
        if ports.len() > MAX_RELAYS {
            return Err(Error::TooManyRelays { wanted: ports.len(), most: MAX_RELAYS });
        }
        Ok(Outside(reserve(ports, false, |_| true)?.1))
    }
}

/// Reserves ports, and with each that names no address the same of IPv6 where that leads to the container. Answers what was asked for in
/// each place, too.
fn reserve(ports: &[Port], v6: bool, leads: impl Fn(&Port) -> bool) -> Result<(Vec<Port>, Vec<Reserved>)> {
    // So many more sockets and elements are not worth it where each needs a relay.
    let has_twins = v6 || ports.len() <= MAX_RELAYS / 2;
    let (mut asked, mut reserved) = (Vec::new(), Vec::new());
    for port in ports {
        if !leads(port) {
            return Err(port.unreachable());
        }
        let own = Reserved::bind(port)?;
        let (twin, own_port) = (Port { host_port: port.host_port, ..port.twin() }, own.port);
        asked.push(*port);
        reserved.push(own);
        if port.host_ip.is_some() || !has_twins || !leads(&twin) || ports.contains(&twin) {
            continue;
        }
        let bound = match Reserved::bind(&own_port.twin()) {
            // The number was free for IPv4 only.
            Err(Error::PortInUse { .. }) if port.host_port == 0 => Reserved::bind(&twin),
            other => other,
        };
        match bound {
            // A host without IPv6.
            Err(Error::Reserve { source, .. }) if !v6 && source.errno() == Errno::AFNOSUPPORT => {}
            bound => {
                asked.push(twin);
                reserved.push(bound?);
            }
        }
    }
    Ok((asked, reserved))
}

/// Those that are relayed: first of all those that nothing else leads to the container.
fn relayed(ports: impl Iterator<Item = Port> + Clone, v4: IpAddr, v6: Option<IpAddr>) -> Result<Vec<Relay>> {
    let needed = |port: &Port| port.by_rules(v4, v6).is_none();
    let of = |is: bool| ports.clone().filter(move |port| needed(port) == is).filter_map(|port| Relay::of(&port, v4, v6));
    let (mut relays, others): (Vec<_>, Vec<_>) = (of(true).collect(), of(false).collect());
    if relays.len() > MAX_RELAYS {
        return Err(Error::TooManyRelays { wanted: relays.len(), most: MAX_RELAYS });
    }
    if relays.len() + others.len() <= MAX_RELAYS {
        relays.extend(others);
    }
    Ok(relays)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_all_are_relayed() {
        let port = |ip: Option<&str>, protocol| Port {
            host_ip: ip.map(|ip| ip.parse().unwrap()),
            host_port: 0,
            container_port: 80,
            protocol,
        };
        let Outside(reserved) = Outside::bind(&[port(Some("127.0.0.1"), Protocol::Tcp)]).unwrap();
        let bound = reserved[0].port;
        assert!(reserved.len() == 1 && bound.host_port != 0);
        reserved[0].listen(1).unwrap();
        assert!(matches!(Outside::bind(&[bound]), Err(Error::PortInUse { .. })));
        assert!(matches!(Outside::bind(&[port(None, Protocol::Sctp)]), Err(Error::NotRelayed { port: 80, .. })));
        let many = vec![bound; MAX_RELAYS + 1];
        assert!(matches!(Outside::bind(&many), Err(Error::TooManyRelays { .. })));
        let (v4, v6) = ("10.0.0.2".parse().unwrap(), "fd00::2".parse().ok());
        assert_eq!([Relay::always(&bound, v4, v6).to, Relay::always(&port(Some("::1"), Protocol::Udp), v4, None).to], [v4, v4]);
        assert_eq!(Some(Relay::always(&port(Some("::"), Protocol::Tcp), v4, v6).to), v6);
    }

    #[test]
    fn what_rules_can_do_is_relayed_only_while_there_is_room() {
        let port = |ip: &str, number: usize| Port {
            host_ip: Some(ip.parse().unwrap()),
            host_port: number as u16,
            container_port: 1,
            protocol: Protocol::Tcp,
        };
        let (v4, v6) = ("10.0.0.2".parse().unwrap(), "fd00::2".parse().ok());
        let count = |own: usize, any: usize, v6| {
            let ports: Vec<_> = (1..=own).map(|n| port("::1", n)).chain((1..=any).map(|n| port("::", 1000 + n))).collect();
            relayed(ports.into_iter(), v4, v6).map(|relays| relays.len()).ok()
        };
        assert_eq!(count(3, 97, v6), Some(100));
        assert_eq!(count(3, 98, v6), Some(3));
        assert_eq!(count(3, 98, None), None);
        assert_eq!(count(101, 0, v6), None);
    }
}
