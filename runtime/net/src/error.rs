//! What can go wrong, in words.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::{IpNet, Ipv4Net};

use crate::netlink::NetlinkError;
use crate::port::Protocol;

/// The outcome of a network operation.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller lacks the privileges.
    #[error("{what} needs root (CAP_NET_ADMIN and CAP_SYS_ADMIN)")]
    NotRoot {
        /// What was being done.
        what: &'static str,
    },
    /// Somebody else uses the port: a process of the host, or another container.
    #[error("port {port}/{protocol} on {ip} is in use")]
    PortInUse {
        /// Its protocol.
        protocol: Protocol,
        /// The address of the host, `0.0.0.0` for any.
        ip: IpAddr,
        /// Its number.
        port: u16,
    },
    /// A port is to be published on an address that is not the host's.
    #[error("port {port}/{protocol} cannot be published on {ip}: this host has no such address")]
    NoSuchAddress {
        /// Its protocol.
        protocol: Protocol,
        /// The address asked for.
        ip: IpAddr,
        /// Its number.
        port: u16,
    },
    /// A port of a container without an IPv6 address is to be published on one of the host's.
    #[error("port {port}/{protocol} cannot be published on {ip}: the container has no IPv6 address")]
    NoV6 {
        /// Its protocol.
        protocol: Protocol,
        /// The address of the host.
        ip: IpAddr,
        /// The container's port.
        port: u16,
    },
    /// A port is to be published on `::1`, where rules for packets do not lead, and nobody is there to relay it.
    #[error("port {port}/{protocol} cannot be published on ::1: Linux takes no answer to that address from a bridge, {why}")]
    LoopbackV6 {
        /// Its protocol.
        protocol: Protocol,
        /// The container's port.
        port: u16,
        /// Why it is not relayed.
        why: &'static str,
    },
    /// More ports need a relay than one container may have.
    #[error("{wanted} ports are published that no rule leads to the container from: {most} can be relayed")]
    TooManyRelays {
        /// How many there are.
        wanted: usize,
        /// How many there may be.
        most: usize,
    },
    /// Where all ports are relayed this one is not.
    #[error("port {port}/{protocol} cannot be published without root: only TCP and UDP are relayed")]
    NotRelayed {
        /// Its protocol.
        protocol: Protocol,
        /// The container's port.
        port: u16,
    },
    /// A port that not everybody may have.
    #[error("port {port}/{protocol} of the host is for root alone, as all below net.ipv4.ip_unprivileged_port_start")]
    PrivilegedPort {
        /// Its protocol.
        protocol: Protocol,
        /// Its number.
        port: u16,
    },
    /// A port could not be reserved for another reason.
    #[error("reserve port {port}/{protocol} on {ip}")]
    Reserve {
        /// Its protocol.
        protocol: Protocol,
        /// The address of the host, `0.0.0.0` for any.
        ip: IpAddr,
        /// Its number.
        port: u16,
        /// Why.
        #[source]
        source: sys::Error,
    },
    /// Every address of the network is leased.
    #[error("network {subnet} has no free address: {leased} are leased")]
    Exhausted {
        /// The network.
        subnet: IpNet,
        /// Leases found.
        leased: usize,
    },
    /// Another container has the address that is asked for.
    #[error("address {address} is in use by container {by}")]
    AddressInUse {
        /// The address.
        address: IpAddr,
        /// The beginning of the other's id.
        by: String,
    },
    /// The address that is asked for is none that a container can have.
    #[error("address {address} cannot be had in network {network}: {why}")]
    BadAddress {
        /// The address.
        address: IpAddr,
        /// The network's subnets.
        network: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Every candidate for a network overlaps a route of this host or another network.
    #[error("no free network: each of {tried} overlaps a route of this host or another network; {instead}")]
    NoFreeSubnet {
        /// The candidates.
        tried: String,
        /// What can be done.
        instead: String,
    },
    /// The network cannot get other addresses while containers have some of it.
    #[error("containers have {leased} addresses of {subnet}, so that the bridge cannot have {wanted}: remove them first")]
    Taken {
        /// The network's addresses.
        subnet: Ipv4Net,
        /// Those that it should have.
        wanted: Ipv4Net,
        /// How many are leased.
        leased: usize,
    },
    /// A subnet without room for a container.
    #[error("network {0} is too small: /{max} is the smallest that works", max = .0.max_prefix_len() - 2)]
    TooSmall(IpNet),
    /// A name that cannot be an interface, a table or a container.
    #[error("{0:?} is not a usable name for {1}")]
    Name(String, &'static str),
    /// The link that a network shares is not there.
    #[error("this host has no link {0:?}")]
    NoSuchLink(String),
    /// A hardware address that no interface can have.
    #[error("{} cannot be the hardware address of an interface: {why}", hex(.0), why = if .0[0] & 1 != 0 { "it is that of a group" } else { "it is empty" })]
    BadMac([u8; 6]),
    /// The network's file could not be read, written or understood.
    #[error("network file {}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The folder of address leases could not be used.
    #[error("address leases in {}", path.display())]
    Leases {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: sys::Error,
    },
    /// The kernel lacks something that containers' networks need.
    #[error("{what} cannot be made: the kernel lacks one of {options}")]
    Unsupported {
        /// What was to be made.
        what: String,
        /// Options of the kernel's configuration, without `CONFIG_`.
        options: &'static str,
        /// How it showed.
        #[source]
        source: NetlinkError,
    },
    /// The bridge's name belongs to an interface of another kind.
    #[error("interface {name} is a {kind}, not a bridge")]
    NotABridge {
        /// The interface.
        name: String,
        /// What it is.
        kind: String,
    },
    /// The bridge was given its address by somebody else, who did not choose the first of its network.
    #[error("bridge {name} has the address {address}, which is not the first of its network")]
    ForeignBridge {
        /// The bridge.
        name: String,
        /// Its address.
        address: Ipv4Net,
    },
    /// The kernel refused something over netlink.
    #[error("{what}")]
    Netlink {
        /// What was being done.
        what: String,
        /// The refused message.
        #[source]
        source: NetlinkError,
    },
    /// A system call failed.
    #[error("{what}")]
    System {
        /// What was being done.
        what: String,
        /// The call.
        #[source]
        source: sys::Error,
    },
}

/// `02:52:0a:00:00:02`.
fn hex(mac: &[u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
