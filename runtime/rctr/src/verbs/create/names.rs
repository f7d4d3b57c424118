//! How the container finds others by name.

use std::net::IpAddr;

use anyhow::{Result, bail};
use engine::{CreateRequest, Dns, HostEntry, HostsBase, NetworkMode};

use crate::parse;

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Whom it asks for names, instead of those whom the host asks
    #[arg(long, value_name = "ADDRESS", value_parser = server)]
    dns: Vec<IpAddr>,
    /// A domain in which it looks for short names; . is none
    #[arg(long, value_name = "DOMAIN", value_parser = domain)]
    dns_search: Vec<String>,
    /// An option of resolv.conf, such as ndots:2
    #[arg(long, visible_alias = "dns-opt", value_name = "OPTION", value_parser = word)]
    dns_option: Vec<String>,
    /// A line of its /etc/hosts: NAME:ADDRESS, or NAME:host-gateway for this host
    #[arg(long, value_name = "NAME:ADDRESS", value_parser = entry)]
    add_host: Vec<HostEntry>,
    /// What its /etc/hosts begins with: a file of the host, image for the image's, or none for the usual lines alone
    #[arg(long, value_name = "FILE", value_parser = base)]
    hosts_file: Option<HostsBase>,
    /// Leave the image's /etc/hosts as it is
    #[arg(long, conflicts_with_all = ["add_host", "hosts_file"])]
    no_hosts: bool,
}

impl Args {
    pub(super) fn apply(self, request: &mut CreateRequest) -> Result<()> {
        if matches!(request.network, NetworkMode::Container(_)) && (self.hosts_file.is_some() || !self.add_host.is_empty()) {
            bail!("--add-host and --hosts-file cannot go with --network container: both have one /etc/hosts");
        }
        request.dns = Dns {
            servers: self.dns,
            search: self.dns_search,
            options: self.dns_option,
            hosts: self.add_host,
            hosts_base: if self.no_hosts { HostsBase::Kept } else { self.hosts_file.unwrap_or_default() },
        };
        Ok(())
    }
}

fn base(text: &str) -> Result<HostsBase, String> {
    match text {
        "none" => Ok(HostsBase::None),
        "image" => Ok(HostsBase::Image),
        path if path.starts_with('/') && std::path::Path::new(path).is_file() => Ok(HostsBase::File(path.into())),
        _ => Err(format!("{text:?}: there are image, none, and the absolute path of a file of this host")),
    }
}

fn server(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is no address"))
}

fn domain(text: &str) -> Result<String, String> {
    if text == "." { Ok(text.to_owned()) } else { parse::alias(text.trim_end_matches('.')) }
}

/// What is written into a file of lines and words must be one word.
fn word(text: &str) -> Result<String, String> {
    let fine = !text.is_empty() && text.len() < 256 && text.chars().all(|c| c.is_ascii_graphic());
    if fine { Ok(text.to_owned()) } else { Err(format!("{text:?} is no option: the form is as in ndots:2")) }
}

pub(crate) fn entry(text: &str) -> Result<HostEntry, String> {
    let form = || format!("{text:?}: the form is NAME:ADDRESS, or NAME:host-gateway");
    // An equals sign first: an IPv6 address has colons itself.
    let (name, address) = text.split_once('=').or_else(|| text.split_once(':')).ok_or_else(form)?;
    let name = parse::alias(name).map_err(|_| form())?;
    let address = match address {
        "host-gateway" => None,
        _ => Some(address.trim_start_matches('[').trim_end_matches(']').parse().map_err(|_| form())?),
    };
    Ok(HostEntry { name, address })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_begin_with_a_file() {
        assert_eq!((base("none"), base("image")), (Ok(HostsBase::None), Ok(HostsBase::Image)));
        assert_eq!(base("/etc/passwd"), Ok(HostsBase::File("/etc/passwd".into())));
        assert!(["", "/etc", "/no/such/file", "relative"].iter().all(|text| base(text).is_err()));
    }

    #[test]
    fn hosts_are_read() {
        for (text, name, address) in [
            ("db:10.0.0.7", "db", Some("10.0.0.7")),
            ("db=10.0.0.7", "db", Some("10.0.0.7")),
            ("db:fd00::7", "db", Some("fd00::7")),
            ("db:[fd00::7]", "db", Some("fd00::7")),
            ("host.docker.internal:host-gateway", "host.docker.internal", None),
        ] {
            let read = entry(text).unwrap();
            assert_eq!((read.name.as_str(), read.address), (name, address.map(|ip| ip.parse().unwrap())), "{text}");
        }
        for bad in ["db", "db:", "db:x", ":10.0.0.7", "a b:10.0.0.7", "a\n1.2.3.4 b:1.2.3.4"] {
            assert!(entry(bad).is_err(), "{bad}");
        }
        assert!(domain(".").is_ok() && domain("a.example").is_ok() && domain("a b").is_err());
        assert!(word("ndots:2").is_ok() && word("ndots 2").is_err() && word("").is_err());
    }
}
