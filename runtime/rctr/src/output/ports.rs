//! Published ports as Docker writes them.

use std::net::IpAddr;

use engine::Port;

/// `0.0.0.0`, or an IPv6 address in brackets.
pub(crate) fn address(port: &Port) -> String {
    match port.host_ip {
        None => "0.0.0.0".to_owned(),
        Some(IpAddr::V4(ip)) => ip.to_string(),
        Some(IpAddr::V6(ip)) => format!("[{ip}]"),
    }
}

/// `0.0.0.0:8000-8009->80-89/tcp, 53/udp`: neighbours as one range, and then what it listens on although nobody can reach it there.
pub(crate) fn text(published: &[Port], exposed: &[String]) -> String {
    let mut ports = published.to_vec();
    ports.sort_by_key(|port| (port.protocol, port.host_ip, port.container_port, port.host_port));
    let mut parts: Vec<String> = Vec::new();
    let mut rest = &ports[..];
    while let Some(first) = rest.first() {
        let next = |(one, other): (&Port, &Port)| {
            let step = |port: u16| port.checked_add(1);
            let place = step(one.container_port) == Some(other.container_port) && step(one.host_port) == Some(other.host_port);
            place && (one.host_ip, one.protocol) == (other.host_ip, other.protocol)
        };
        let run = 1 + rest.iter().zip(&rest[1..]).take_while(|pair| next(*pair)).count();
        let last = rest[run - 1];
        let range = |from: u16, to: u16| if from == to { from.to_string() } else { format!("{from}-{to}") };
        let (host, container) = (range(first.host_port, last.host_port), range(first.container_port, last.container_port));
        parts.push(format!("{}:{host}->{container}/{}", address(first), first.protocol));
        rest = &rest[run..];
    }
    let published = |key: &String| ports.iter().any(|port| format!("{}/{}", port.container_port, port.protocol) == *key);
    parts.extend(exposed.iter().filter(|key| !published(key)).cloned());
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::Protocol;

    #[test]
    fn neighbours_are_one_range() {
        let port = |ip: Option<&str>, host_port, container_port| Port {
            host_ip: ip.map(|ip| ip.parse().unwrap()),
            host_port,
            container_port,
            protocol: Protocol::Tcp,
        };
        let mut ports: Vec<_> = (0..10).map(|n| port(None, 8000 + n, 80 + n)).collect();
        ports.extend([port(Some("::"), 8000, 80), port(None, 9000, 90), port(None, 65535, 65535)]);
        let exposed = ["80/tcp".to_owned(), "53/udp".to_owned()];
        let expected = "0.0.0.0:8000-8009->80-89/tcp, 0.0.0.0:9000->90/tcp, 0.0.0.0:65535->65535/tcp, [::]:8000->80/tcp, 53/udp";
        assert_eq!(text(&ports, &exposed), expected);
        assert_eq!(text(&[], &[]), "");
    }
}
