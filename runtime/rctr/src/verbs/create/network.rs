//! How the container is reached, and what it reaches.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::{Result, bail};
use engine::{CreateRequest, Endpoint, Engine, NetworkMode, Port};

use crate::parse::{self, Network};

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// bridge, host, none, container:NAME, or a network's name with options, as in web:ip=10.1.2.3,alias=db; several networks are given
    /// one by one
    #[arg(long, visible_alias = "net", value_name = "NETWORK", value_parser = parse::network)]
    network: Vec<Network>,
    /// Another name in the first network
    #[arg(long, visible_alias = "net-alias", value_name = "NAME", value_parser = parse::alias)]
    network_alias: Vec<String>,
    /// IPv4 address in the first network
    #[arg(long, value_name = "ADDRESS", value_parser = parse::ip)]
    ip: Option<Ipv4Addr>,
    /// IPv6 address in the first network
    #[arg(long, value_name = "ADDRESS", value_parser = parse::ip6)]
    ip6: Option<Ipv6Addr>,
    /// Hardware address in the first network
    #[arg(long, value_name = "ADDRESS", value_parser = parse::mac)]
    mac_address: Option<[u8; 6]>,
    /// Not supported: put both containers in a network
    #[arg(long, value_name = "CONTAINER", hide = true, value_parser = link)]
    link: Vec<String>,
    /// Publish a port: [[IP:][HOST]:]CONTAINER[/tcp|/udp|/sctp]
    #[arg(short, long, value_name = "PORT", value_parser = parse::ports)]
    publish: Vec<Vec<Port>>,
    /// Publish all ports that the image says it listens on, and those of --expose
    #[arg(short = 'P', long)]
    publish_all: bool,
    /// A port that it listens on: PORT[-PORT][/tcp|/udp|/sctp]
    #[arg(long, value_name = "PORT", value_parser = parse::exposed)]
    expose: Vec<Vec<String>>,
    /// Host name
    #[arg(short = 'h', long, value_name = "NAME", value_parser = parse::host_name)]
    hostname: Option<String>,
}

fn link(_: &str) -> Result<String, String> {
    Err("links are not supported: put both containers in a network, where they know each other by name".to_owned())
}

impl Args {
    pub(super) fn apply(self, engine: &Engine, request: &mut CreateRequest) -> Result<()> {
        request.ports = self.publish.into_iter().flatten().collect();
        request.publish_all = self.publish_all;
        request.exposed = self.expose.into_iter().flatten().collect();
        let own =
            Endpoint { aliases: self.network_alias, ip: self.ip, ip6: self.ip6, mac: self.mac_address, ..Endpoint::default() };
        (request.network, request.networks) = networks(self.network, own)?;
        let ports = !request.ports.is_empty() || request.publish_all;
        match &request.network {
            NetworkMode::None if ports => bail!("-p needs a network: it cannot go with --network none"),
            NetworkMode::Container(_) if ports => bail!("-p cannot go with --network container: publish where that is created"),
            NetworkMode::Container(_) if self.hostname.is_some() => {
                bail!("--hostname cannot go with --network container: both have one name")
            }
            NetworkMode::Host if ports => {
                eprintln!("rctr: published ports are discarded with --network host: the container listens on the host itself");
            }
            _ => {}
        }
        if let NetworkMode::Container(other) = &mut request.network {
            *other = engine.container(other)?.record.id;
        }
        request.hostname = self.hostname;
        Ok(())
    }
}

/// The mode, and with it the networks; none of them means the default one as it comes. `own` is for the first of them.
fn networks(asked: Vec<Network>, own: Endpoint) -> Result<(NetworkMode, Vec<Endpoint>)> {
    let (mut mode, mut named) = (None, Vec::new());
    let several = asked.len() > 1;
    for network in asked {
        match network {
            Network::Mode(one) => mode = Some(one),
            Network::Named(endpoint) => named.push(endpoint),
        }
    }
    match (mode, several) {
        (Some(_), true) => bail!("--network host, none and container: cannot go with another network"),
        (Some(_), false) if own != Endpoint::default() => {
            bail!("--ip, --ip6, --mac-address and --network-alias need a network of the container's own")
        }
        (Some(mode), false) => return Ok((mode, Vec::new())),
        (None, _) => {}
    }
    let plain = Endpoint { network: "bridge".to_owned(), ..Endpoint::default() };
    if named.is_empty() {
        named.push(plain.clone());
    }
    let first = &mut named[0];
    for (flag, twice) in [
        ("--ip", own.ip.is_some() && first.ip.is_some()),
        ("--ip6", own.ip6.is_some() && first.ip6.is_some()),
        ("--mac-address", own.mac.is_some() && first.mac.is_some()),
    ] {
        if twice {
            bail!("{flag} and --network {} both say it", first.network);
        }
    }
    first.aliases.extend(own.aliases);
    first.ip = first.ip.or(own.ip);
    first.ip6 = first.ip6.or(own.ip6);
    first.mac = first.mac.or(own.mac);
    Ok((NetworkMode::Bridge, if named == [plain] { Vec::new() } else { named }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str], own: Endpoint) -> Result<(NetworkMode, Vec<Endpoint>), String> {
        networks(texts.iter().map(|text| parse::network(text).unwrap()).collect(), own).map_err(|error| error.to_string())
    }

    #[test]
    fn the_default_network_as_it_comes_is_nothing() {
        for texts in [&[][..], &["bridge"], &["default"]] {
            assert_eq!(read(texts, Endpoint::default()).unwrap(), (NetworkMode::Bridge, Vec::new()));
        }
        let mac = Endpoint { mac: Some([2; 6]), ..Endpoint::default() };
        assert_eq!(read(&[], mac).unwrap().1[0].network, "bridge");
    }

    #[test]
    fn flags_are_for_the_first_network() {
        let own = Endpoint { ip: Some(Ipv4Addr::LOCALHOST), aliases: vec!["x".to_owned()], ..Endpoint::default() };
        let (_, named) = read(&["a:alias=y", "b"], own.clone()).unwrap();
        assert_eq!((named[0].ip, named[0].aliases.join(" "), named[1].ip), (own.ip, "y x".to_owned(), None));
        assert_eq!(read(&["a:ip=1.2.3.4"], own.clone()).unwrap_err(), "--ip and --network a both say it");
        assert!(read(&["none"], own).is_err() && read(&["none", "a"], Endpoint::default()).is_err());
    }
}
