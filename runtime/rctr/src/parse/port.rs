//! `-p [[IP:][HOST]:]CONTAINER[/PROTOCOL]`, with ranges.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use engine::{Port, Protocol};

/// The ports of one `-p`.
pub(crate) fn ports(text: &str) -> Result<Vec<Port>, String> {
    parse(text).map_err(|why| format!("{text:?}: {why}; the form is [[IP:][HOST]:]CONTAINER[/tcp|/udp], such as 8080:80"))
}

fn parse(text: &str) -> Result<Vec<Port>, String> {
    let (rest, protocol) = match text.rsplit_once('/') {
        None => (text, Protocol::Tcp),
        Some((rest, "tcp")) => (rest, Protocol::Tcp),
        Some((rest, "udp")) => (rest, Protocol::Udp),
        Some((_, other)) => return Err(format!("unknown protocol {other:?}")),
    };
    if rest.starts_with('[') {
        return Err("publishing on an IPv6 address is not supported".to_owned());
    }
    let parts: Vec<&str> = rest.split(':').collect();
    let (ip, host, container) = match parts[..] {
        [container] => ("", "", container),
        [host, container] => ("", host, container),
        [ip, host, container] => (ip, host, container),
        _ => return Err("too many colons".to_owned()),
    };
    let host_ip = match ip {
        "" | "0.0.0.0" => None,
        ip => Some(ip.parse::<Ipv4Addr>().map_err(|_| format!("{ip:?} is no IPv4 address"))?),
    };
    let container = range(container)?;
    let host = if host.is_empty() { None } else { Some(range(host)?) };
    if host.as_ref().is_some_and(|host| host.clone().count() != container.clone().count()) {
        return Err("the two ranges differ in length".to_owned());
    }
    let hosts: Vec<u16> = host.map_or_else(|| vec![0; container.clone().count()], Iterator::collect);
    Ok(container.zip(hosts).map(|(container_port, host_port)| Port { host_ip, host_port, container_port, protocol }).collect())
}

fn range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let number = |text: &str| {
        let plain = text.bytes().all(|digit| digit.is_ascii_digit());
        text.parse::<u16>().ok().filter(|port| *port > 0 && plain).ok_or_else(|| format!("{text:?} is no port from 1 to 65535"))
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    if first > last { Err(format!("the range {text} runs backwards")) } else { Ok(first..=last) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<String, String> {
        let show = |port: &Port| {
            let ip = port.host_ip.map_or("*".to_owned(), |ip| ip.to_string());
            format!("{ip}:{}>{}/{}", port.host_port, port.container_port, port.protocol)
        };
        ports(text).map(|ports| ports.iter().map(show).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn all_forms() {
        for (text, expected) in [
            ("80", "*:0>80/tcp"),
            ("8080:80", "*:8080>80/tcp"),
            ("127.0.0.1:53:53/udp", "127.0.0.1:53>53/udp"),
            ("127.0.0.1::80", "127.0.0.1:0>80/tcp"),
            ("0.0.0.0:1:1", "*:1>1/tcp"),
            ("8000-8001:80-81", "*:8000>80/tcp *:8001>81/tcp"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(expected), "{text}");
        }
        for text in [
            "",
            ":",
            "a:1",
            "0:80",
            "80:0",
            "70000:80",
            "1:2:3:4",
            "80/xyz",
            "8-7:1-2",
            "1-3:1-2",
            "+1:80",
            "host:1:1",
            "[::1]:1:1",
        ] {
            assert!(shown(text).is_err(), "{text}");
        }
    }
}
