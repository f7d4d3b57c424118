//! Rules, spelled as the expressions nf_tables executes: load into a register, compare, decide.

use ipnet::IpNet;

use super::{Family, Table};
use crate::netlink::{APPEND, Batch, CREATE};

/// `NFT_REG_1`, the register everything is compared in; 16 bytes.
pub(crate) const REG: u32 = 1;
/// `NFT_REG_1` as its first word, then `NFT_REG32_01` … `NFT_REG32_05`: the second to sixth.
pub(crate) const WORD: [u32; 6] = [1, 9, 10, 11, 12, 13];

const NF_DROP: u32 = 0;
const NF_ACCEPT: u32 = 1;

/// Conditions and statements of our rules. Constants come from `linux/netfilter/nf_tables.h`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expr<'a> {
    /// `iifname NAME`, or `iifname != NAME`.
    In(&'a str, bool),
    /// `oifname NAME`, or `oifname != NAME`.
    Out(&'a str, bool),
    /// `ip saddr NET`, or `ip6 saddr NET`.
    Source(IpNet),
    /// `ip saddr @SET`.
    SourceIn(&'a str),
    /// `ip daddr NET`, or `ip daddr != NET`; the same for `ip6`.
    Destination(IpNet, bool),
    /// `ct state …`: any of these bits.
    State(u32),
    /// `ct status …`: any of these bits.
    Status(u32),
    /// `fib daddr type local`: an address of this host.
    Local,
    /// `dnat to meta l4proto . th dport map @SET`; no element, no match.
    DnatAny(&'a str),
    /// `dnat to ip daddr . meta l4proto . th dport map @SET`.
    DnatOne(&'a str),
    /// `meta l4proto NUMBER`.
    Protocol(u8),
    /// `th dport PORT`.
    ToPort(u16),
    /// `th sport PORT`.
    FromPort(u16),
    /// `th dport set PORT`, with the checksum at this place of the transport header.
    SetToPort(u16, u32),
    /// `th sport set PORT`, the same.
    SetFromPort(u16, u32),
    /// `counter`.
    Counter,
    /// `masquerade`.
    Masquerade,
    /// `accept`.
    Accept,
    /// `drop`.
    Drop,
}

/// Appends a rule to a chain.
pub(super) fn rule(batch: &mut Batch, label: &'static str, table: Table<'_>, chain: &str, rule: &[Expr<'_>]) {
    batch.message(label, super::NEWRULE, CREATE | APPEND, &table.family.header(), |m| {
        m.text(1, table.name).text(2, chain).nest(4, |m| rule.iter().fold(m, |m, expr| expr.write(m, table.family)))
    });
}

impl Expr<'_> {
    pub(crate) fn write(self, m: &mut Batch, family: Family) -> &mut Batch {
        match self {
            Expr::In(name, is) => interface(m, 6, name, is),
            Expr::Out(name, is) => interface(m, 7, name, is),
            Expr::Source(net) => in_net(m, family.source(), net, true),
            Expr::SourceIn(set) => {
                payload(m, REG, 1, family.source(), family.length());
                expr(m, "lookup", |m| m.text(1, set).be(2, REG))
            }
            Expr::Destination(net, is) => in_net(m, family.destination(), net, is),
            Expr::State(bits) => conntrack(m, 0, bits),
            Expr::Status(bits) => conntrack(m, 2, bits),
            Expr::Local => {
                // NFT_FIB_RESULT_ADDRTYPE of NFTA_FIB_F_DADDR is RTN_LOCAL.
                expr(m, "fib", |m| m.be(1, REG).be(2, 3).be(3, 2));
                compare(m, true, &2u32.to_ne_bytes())
            }
            Expr::DnatAny(set) => {
                load(m, 16, WORD[0]);
                payload(m, WORD[1], 2, 2, 2);
                dnat(m, family, set)
            }
            Expr::DnatOne(set) => {
                let words = (family.length() / 4) as usize;
                payload(m, WORD[0], 1, family.destination(), family.length());
                load(m, 16, WORD[words]);
                payload(m, WORD[words + 1], 2, 2, 2);
                dnat(m, family, set)
            }
            Expr::Protocol(number) => {
                load(m, 16, REG);
                compare(m, true, &[number])
            }
            Expr::ToPort(port) => {
                payload(m, REG, 2, 2, 2);
                compare(m, true, &port.to_be_bytes())
            }
            Expr::FromPort(port) => {
                payload(m, REG, 2, 0, 2);
                compare(m, true, &port.to_be_bytes())
            }
            Expr::SetToPort(port, checksum) => set(m, 2, port, checksum),
            Expr::SetFromPort(port, checksum) => set(m, 0, port, checksum),
            Expr::Counter => expr(m, "counter", |m| m),
            Expr::Masquerade => expr(m, "masq", |m| m),
            Expr::Accept => verdict(m, NF_ACCEPT),
            Expr::Drop => verdict(m, NF_DROP),
        }
    }
}

pub(crate) fn expr<'a>(m: &'a mut Batch, name: &str, data: impl FnOnce(&mut Batch) -> &mut Batch) -> &'a mut Batch {
    m.nest(1, |m| m.text(1, name).nest(2, data))
}

/// `meta`: NFT_META_IIFNAME 6, NFT_META_OIFNAME 7, NFT_META_L4PROTO 16.
pub(crate) fn load(m: &mut Batch, key: u32, register: u32) -> &mut Batch {
    expr(m, "meta", |m| m.be(1, register).be(2, key))
}

/// `payload`: base 1 is the network header, 2 the transport header.
pub(crate) fn payload(m: &mut Batch, register: u32, base: u32, offset: u32, length: u32) -> &mut Batch {
    expr(m, "payload", |m| m.be(1, register).be(2, base).be(3, offset).be(4, length))
}

/// Writes a port into the transport header; NFT_PAYLOAD_CSUM_INET puts its checksum right.
fn set(m: &mut Batch, offset: u32, port: u16, checksum: u32) -> &mut Batch {
    expr(m, "immediate", |m| m.be(1, REG).nest(2, |m| m.attr(1, &port.to_be_bytes())));
    expr(m, "payload", |m| m.be(5, REG).be(2, 2).be(3, offset).be(4, 2).be(6, 1).be(7, checksum).be(8, 0))
}

pub(crate) fn compare<'a>(m: &'a mut Batch, equal: bool, value: &[u8]) -> &'a mut Batch {
    expr(m, "cmp", |m| m.be(1, REG).be(2, u32::from(!equal)).nest(3, |m| m.attr(1, value)))
}

pub(crate) fn mask<'a>(m: &'a mut Batch, mask: &[u8]) -> &'a mut Batch {
    let (length, zero) = (mask.len() as u32, &[0; 16][..mask.len()]);
    expr(m, "bitwise", |m| m.be(1, REG).be(2, REG).be(3, length).nest(4, |m| m.attr(1, mask)).nest(5, |m| m.attr(1, zero)))
}

fn interface<'a>(m: &'a mut Batch, key: u32, name: &str, is: bool) -> &'a mut Batch {
    let mut bytes = [0; 16];
    for (to, from) in bytes[..15].iter_mut().zip(name.bytes()) {
        *to = from;
    }
    load(m, key, REG);
    compare(m, is, &bytes)
}

fn in_net(m: &mut Batch, offset: u32, net: IpNet, is: bool) -> &mut Batch {
    let ((netmask, network), length) = match net {
        IpNet::V4(net) => ((v4(net.netmask()), v4(net.network())), 4),
        IpNet::V6(net) => ((net.netmask().octets(), net.network().octets()), 16),
    };
    payload(m, REG, 1, offset, length as u32);
    mask(m, &netmask[..length]);
    compare(m, is, &network[..length])
}

fn v4(address: std::net::Ipv4Addr) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&address.octets());
    bytes
}

fn conntrack(m: &mut Batch, key: u32, bits: u32) -> &mut Batch {
    expr(m, "ct", |m| m.be(1, REG).be(2, key));
    mask(m, &bits.to_ne_bytes());
    compare(m, false, &[0; 4])
}

/// Looks the registers up in the map and translates to what is found: NFT_NAT_DNAT, address in the first words, port in the next.
fn dnat<'a>(m: &'a mut Batch, family: Family, set: &str) -> &'a mut Batch {
    expr(m, "lookup", |m| m.text(1, set).be(2, REG).be(3, REG));
    let port = WORD[(family.length() / 4) as usize];
    expr(m, "nat", |m| m.be(1, 1).be(2, u32::from(family.number())).be(3, WORD[0]).be(5, port))
}

fn verdict(m: &mut Batch, code: u32) -> &mut Batch {
    expr(m, "immediate", |m| m.be(1, 0).nest(2, |m| m.nest(2, |m| m.be(1, code))))
}
