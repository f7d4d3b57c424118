//! What can go wrong, in words.

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use ipnet::Ipv4Net;

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
        ip: Ipv4Addr,
        /// Its number.
        port: u16,
    },
    /// A port is to be published on an address that is not the host's.
    #[error("port {port}/{protocol} cannot be published on {ip}: this host has no such address")]
    NoSuchAddress {
        /// Its protocol.
        protocol: Protocol,
        /// The address asked for.
        ip: Ipv4Addr,
        /// Its number.
        port: u16,
    },
    /// A port could not be reserved for another reason.
    #[error("reserve port {port}/{protocol} on {ip}")]
    Reserve {
        /// Its protocol.
        protocol: Protocol,
        /// The address of the host, `0.0.0.0` for any.
        ip: Ipv4Addr,
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
        subnet: Ipv4Net,
        /// Leases found.
        leased: usize,
    },
    /// Every candidate for the default network overlaps a route of this host.
    #[error("no free network: a route of this host overlaps each of {tried}; write one into {}", file.display())]
    NoFreeSubnet {
        /// The candidates.
        tried: String,
        /// The file that would hold the choice.
        file: PathBuf,
    },
    /// A subnet without room for a container.
    #[error("network {0} is too small: /30 is the smallest that works")]
    TooSmall(Ipv4Net),
    /// A name that cannot be an interface, a table or a container.
    #[error("{0:?} is not a usable name for {1}")]
    Name(String, &'static str),
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
