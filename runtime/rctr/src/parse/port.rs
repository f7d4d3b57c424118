//! `-p [[IP:][HOST]:]CONTAINER[/PROTOCOL]`, with ranges.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use engine::{Port, Protocol};

/// The ports of one `-p`.
pub(crate) fn ports(text: &str) -> Result<Vec<Port>, String> {
    parse(text).map_err(|why| format!("{text:?}: {why}; the form is [[IP:][HOST]:]CONTAINER[/tcp|/udp|/sctp], such as 8080:80"))
}

/// The ports of one `--expose`, each as an image has it.
pub(crate) fn exposed(text: &str) -> Result<Vec<String>, String> {
    let all = || {
        let (ports, protocol) = protocol(text)?;
        Ok(range(ports)?.map(|port| format!("{port}/{protocol}")).collect())
    };
    all().map_err(|why: String| format!("{text:?}: {why}; the form is PORT[-PORT][/tcp|/udp|/sctp], such as 80/tcp"))
}

fn protocol(text: &str) -> Result<(&str, Protocol), String> {
    match text.rsplit_once('/') {
        None => Ok((text, Protocol::Tcp)),
        Some((rest, "tcp")) => Ok((rest, Protocol::Tcp)),
        Some((rest, "udp")) => Ok((rest, Protocol::Udp)),
        Some((rest, "sctp")) => Ok((rest, Protocol::Sctp)),
        Some((_, other)) => Err(format!("unknown protocol {other:?}")),
    }
}

/// The address before `:[HOST]:CONTAINER`, if there is one.
fn address(text: &str) -> Result<(Option<IpAddr>, &str), String> {
    if let Some(rest) = text.strip_prefix('[') {
        let (ip, rest) = rest.split_once("]:").ok_or("an IPv6 address is written as in [::1]:8080:80")?;
        let ip = ip.parse::<Ipv6Addr>().map_err(|_| format!("{ip:?} is no IPv6 address"))?;
        return if rest.contains(':') { Ok((Some(ip.into()), rest)) } else { Err("a host port is missing".to_owned()) };
    }
    match text.splitn(3, ':').collect::<Vec<_>>()[..] {
        ["", _, _] => Ok((None, &text[1..])),
        [ip, _, _] => {
            let address = ip.parse::<Ipv4Addr>().map_err(|_| format!("{ip:?} is no IPv4 address"))?;
            Ok((Some(address.into()), &text[ip.len() + 1..]))
        }
        _ => Ok((None, text)),
    }
}

fn parse(text: &str) -> Result<Vec<Port>, String> {
    let (rest, protocol) = protocol(text)?;
    let (host_ip, rest) = address(rest)?;
    let (host, container) = match rest.split(':').collect::<Vec<_>>()[..] {
        [container] => ("", container),
        [host, container] => (host, container),
        _ => return Err("too many colons".to_owned()),
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
    fn exposed_ports_are_as_images_have_them() {
        assert_eq!(exposed("80-81/udp").unwrap(), ["80/udp", "81/udp"]);
        assert_eq!(exposed("80").unwrap(), ["80/tcp"]);
        assert!(exposed("80:80").is_err() && exposed("0").is_err() && exposed("80/x").is_err());
    }

    #[test]
    fn all_forms() {
        for (text, expected) in [
            ("80", "*:0>80/tcp"),
            ("8080:80", "*:8080>80/tcp"),
            ("127.0.0.1:53:53/udp", "127.0.0.1:53>53/udp"),
            ("127.0.0.1::80", "127.0.0.1:0>80/tcp"),
            ("0.0.0.0:1:1", "0.0.0.0:1>1/tcp"),
            (":1:1", "*:1>1/tcp"),
            ("8000-8001:80-81", "*:8000>80/tcp *:8001>81/tcp"),
            ("9-10", "*:0>9/tcp *:0>10/tcp"),
            ("[::1]:1:2/sctp", "::1:1>2/sctp"),
            ("[::]::2", ":::0>2/tcp"),
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
            "[::1]:1",
            "[::1:1:1",
            "::1:1:1",
            "[127.0.0.1]:1:1",
        ] {
            assert!(shown(text).is_err(), "{text}");
        }
    }
}
