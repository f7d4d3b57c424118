//! `rctr network create`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::{Context as _, Result};
use engine::{Driver, Error, IpNet, NetworkRequest};

use crate::context::Context;
use crate::parse;

/// Make a network
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How containers are connected
    #[arg(short, long, value_name = "DRIVER", default_value = "bridge", value_parser = driver)]
    driver: Driver,
    /// Its addresses, as in 10.1.2.0/24; once for IPv4 and once for IPv6 [default: some that nobody uses]
    #[arg(long, value_name = "CIDR", value_parser = net)]
    subnet: Vec<IpNet>,
    /// This host's address in a subnet [default: the first]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    gateway: Vec<IpAddr>,
    /// The part of a subnet that containers get their addresses from
    #[arg(long, value_name = "CIDR", value_parser = net)]
    ip_range: Vec<IpNet>,
    /// An address that no container gets: NAME=ADDRESS
    #[arg(long, value_name = "NAME=ADDRESS", value_parser = reserved)]
    aux_address: Vec<(String, IpAddr)>,
    /// With IPv6
    #[arg(long)]
    ipv6: bool,
    /// Nothing leaves it and nothing comes in
    #[arg(long)]
    internal: bool,
    /// For swarms: on one host all networks are
    #[arg(long)]
    attachable: bool,
    /// Add a label: KEY=VALUE
    #[arg(long, value_name = "KEY[=VALUE]", value_parser = parse::label)]
    label: Vec<(String, String)>,
    /// An option of the driver, as in mtu=1400
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = option)]
    opt: Vec<(String, String)>,
    /// Name of the bridge's interface
    #[arg(long, value_name = "NAME")]
    interface_name: Option<String>,
    /// Who chooses addresses
    #[arg(long, value_name = "DRIVER", default_value = "default", value_parser = ipam)]
    ipam_driver: String,
    /// Not supported: only the host itself has networks
    #[arg(long, hide = true, value_parser = scope)]
    scope: Option<String>,
    /// Leave one of this name as it is
    #[arg(long)]
    ignore: bool,
    /// Its name
    name: String,
}

/// Makes the network and prints its id.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let ignore = args.ignore;
    let request = args.request()?;
    let engine = context.engine()?;
    let network = match engine.create_network(&request) {
        Err(Error::NetworkExists(_)) if ignore => engine.network(&request.name)?,
        other => other?,
    };
    println!("{}", network.id);
    Ok(0)
}

impl Args {
    /// What is asked for.
    ///
    /// # Errors
    /// Options that the driver does not have.
    pub(crate) fn request(self) -> Result<NetworkRequest> {
        let mut options: BTreeMap<String, String> = self.opt.into_iter().collect();
        let flag = if self.interface_name.is_some() { "--interface-name or --opt" } else { "--opt" };
        options.extend(self.interface_name.map(|name| ("com.docker.network.bridge.name".to_owned(), name)));
        let request = NetworkRequest {
            name: self.name,
            driver: self.driver,
            subnets: self.subnet,
            gateways: self.gateway,
            ranges: self.ip_range,
            reserved: self.aux_address.into_iter().collect(),
            ipv6: self.ipv6,
            internal: self.internal,
            attachable: self.attachable,
            labels: self.label.into_iter().collect(),
            options,
        };
        request.check_options().context(flag)?;
        Ok(request)
    }
}

fn driver(text: &str) -> Result<Driver, String> {
    match text {
        "bridge" => Ok(Driver::Bridge),
        "macvlan" => Ok(Driver::Macvlan),
        "host" | "none" | "null" => Err(format!("there is one network {text:?}, and it is always there")),
        _ => Err(format!("there is no driver {text:?}: there are bridge and macvlan")),
    }
}

fn net(text: &str) -> Result<IpNet, String> {
    text.parse().map_err(|_| format!("{text:?} is no subnet: the form is 10.1.2.0/24"))
}

fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is no address"))
}

fn reserved(text: &str) -> Result<(String, IpAddr), String> {
    let (name, ip) = text.split_once('=').ok_or_else(|| format!("{text:?}: the form is NAME=ADDRESS"))?;
    Ok((name.to_owned(), address(ip)?))
}

fn option(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is no option: the form is KEY=VALUE"))?;
    Ok((key.to_owned(), value.to_owned()))
}

fn ipam(text: &str) -> Result<String, String> {
    match text {
        "default" | "host-local" => Ok(text.to_owned()),
        _ => Err(format!("addresses are chosen by rctr itself: there is no driver {text:?}")),
    }
}

fn scope(text: &str) -> Result<String, String> {
    if text == "local" { Ok(text.to_owned()) } else { Err(format!("there is no scope {text:?}: there is local")) }
}
