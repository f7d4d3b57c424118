//! `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf` of a container.

use std::fmt::Write;
use std::net::IpAddr;

/// `/etc/hosts`: the usual entries and the container's own.
pub(crate) fn hosts(own: &[IpAddr], name: &str) -> String {
    let mut text = String::from(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\n\
         ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n",
    );
    for address in own {
        let _ = writeln!(text, "{address}\t{name}");
    }
    text
}

/// `/etc/resolv.conf` from the host's. A container with a network of its own cannot reach the host's loopback, so resolvers
/// there are left out; when none remains, public ones take their place, as Docker and Podman do.
pub(crate) fn resolv_conf(host: &str, own_network: bool) -> String {
    let local = |line: &str| {
        let mut words = line.split_whitespace();
        words.next() == Some("nameserver") && words.next().is_some_and(|server| server.starts_with("127.") || server == "::1")
    };
    let kept: Vec<&str> = host.lines().filter(|line| !(own_network && local(line))).collect();
    let mut text = kept.join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    if own_network && !kept.iter().any(|line| line.trim_start().starts_with("nameserver")) {
        text.push_str("nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_on_the_loopback_do_not_follow_into_a_network() {
        let host = "# c\nnameserver 127.0.0.53\nnameserver 10.0.0.2\nsearch lan";
        assert_eq!(resolv_conf(host, true), "# c\nnameserver 10.0.0.2\nsearch lan\n");
        assert_eq!(resolv_conf(host, false), format!("{host}\n"));
        assert!(resolv_conf("nameserver ::1\n", true).contains("8.8.8.8"));
        assert_eq!(resolv_conf("", false), "");
    }
}
