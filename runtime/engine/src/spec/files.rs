//! `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf` of a container.

use std::fmt::Write;
use std::net::IpAddr;

use crate::Error;
use crate::request::{Dns, HostEntry};

/// Lines of usual entries.
const USUAL: usize = 6;

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

/// `/etc/hosts` on top of what another file says, with the usual entries where that has no `localhost`.
pub(crate) fn hosts_on(base: &str, own: &[IpAddr], name: &str) -> String {
    let words = |line: &str| line.split('#').next().unwrap_or_default().split_whitespace().any(|word| word == "localhost");
    let usual = hosts(own, name);
    let rest: String = match base.lines().any(words) {
        true => usual.lines().skip(USUAL).fold(String::new(), |text, line| text + line + "\n"),
        false => usual,
    };
    let end = if base.is_empty() || base.ends_with('\n') { "" } else { "\n" };
    format!("{base}{end}{rest}")
}

/// Lines for names that are given by hand. `host` is this host as the container reaches it.
///
/// # Errors
/// The host is meant, and cannot be reached.
pub(crate) fn extra_hosts(entries: &[HostEntry], host: Option<IpAddr>) -> Result<String, Error> {
    let mut text = String::new();
    for HostEntry { name, address } in entries {
        let address = address.or(host).ok_or_else(|| Error::Invalid {
            what: format!("--add-host {name}:host-gateway"),
            why: "the container has no way to this host".to_owned(),
        })?;
        let _ = writeln!(text, "{address}\t{name}");
    }
    Ok(text)
}

/// Whom a container asks for names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The host's resolvers, as the host itself.
    AsHost,
    /// The same, but for those that only the host can reach.
    Directly,
    /// The host's resolvers, by way of a user's home.
    Home,
    /// A resolver of its own.
    Own,
}

/// `/etc/resolv.conf`: what is asked for, and else what the host's says. A container with a network of its own cannot reach the host's
/// loopback, so resolvers there are left out; when none remains, public ones take their place, as Docker and Podman do.
pub(crate) fn resolv_conf(host: &str, asked: Asked, dns: &Dns) -> String {
    let word = |line: &&str| line.split_whitespace().next().unwrap_or_default().to_owned();
    let of = |key: &str| host.lines().filter(|line| word(line) == key).map(str::to_owned).collect::<Vec<_>>();
    let local = |line: &String| line.split_whitespace().nth(1).is_some_and(|server| server.starts_with("127.") || server == "::1");
    let mut servers: Vec<String> = match (asked, dns.servers.is_empty()) {
        (Asked::Own, _) => vec![format!("nameserver {}", net::dns::ADDRESS)],
        (_, false) => dns.servers.iter().map(|server| format!("nameserver {server}")).collect(),
        (Asked::Home, true) => vec![format!("nameserver {}", crate::Home::RESOLVER)],
        (Asked::AsHost, true) => of("nameserver"),
        (Asked::Directly, true) => of("nameserver").into_iter().filter(|line| !local(line)).collect(),
    };
    if servers.is_empty() && asked == Asked::Directly {
        servers = ["nameserver 8.8.8.8", "nameserver 8.8.4.4"].map(str::to_owned).to_vec();
    }
    let mut lines = servers;
    match &dns.search[..] {
        [] => lines.extend(of("search").into_iter().chain(of("domain"))),
        [none] if none == "." => {}
        domains => lines.push(format!("search {}", domains.join(" "))),
    }
    match &dns.options[..] {
        // As with Docker: a short name may be a container's, and is asked for as it is first.
        [] if asked == Asked::Own && of("options").is_empty() => lines.push("options ndots:0".to_owned()),
        [] => lines.extend(of("options")),
        options => lines.push(format!("options {}", options.join(" "))),
    }
    lines.iter().fold(String::new(), |text, line| text + line + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_on_the_loopback_do_not_follow_into_a_network() {
        let (host, dns) = ("# c\nnameserver 127.0.0.53\nnameserver 10.0.0.2\nsearch lan", Dns::default());
        assert_eq!(resolv_conf(host, Asked::Directly, &dns), "nameserver 10.0.0.2\nsearch lan\n");
        assert_eq!(resolv_conf(host, Asked::AsHost, &dns), "nameserver 127.0.0.53\nnameserver 10.0.0.2\nsearch lan\n");
        assert_eq!(resolv_conf(host, Asked::Own, &dns), "nameserver 127.0.0.11\nsearch lan\noptions ndots:0\n");
        assert!(resolv_conf("nameserver ::1\n", Asked::Directly, &dns).contains("8.8.8.8"));
        assert_eq!(resolv_conf("", Asked::AsHost, &dns), "");
        assert_eq!(resolv_conf(host, Asked::Home, &dns), "nameserver 169.254.1.1\nsearch lan\n");
    }

    #[test]
    fn what_is_asked_for_comes_instead() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let dns = Dns {
            servers: vec![IpAddr::from([9, 9, 9, 9])],
            search: words("a.example b.example"),
            options: words("ndots:2 rotate"),
            ..Dns::default()
        };
        let host = "nameserver 10.0.0.2\nsearch lan\noptions edns0";
        let rest = "search a.example b.example\noptions ndots:2 rotate\n";
        assert_eq!(resolv_conf(host, Asked::Directly, &dns), format!("nameserver 9.9.9.9\n{rest}"));
        assert_eq!(resolv_conf(host, Asked::Own, &dns), format!("nameserver 127.0.0.11\n{rest}"));
        let none = Dns { search: words("."), ..Dns::default() };
        assert_eq!(resolv_conf(host, Asked::Directly, &none), "nameserver 10.0.0.2\noptions edns0\n");
    }

    #[test]
    fn another_file_comes_first() {
        let own = [IpAddr::from([10, 0, 0, 2])];
        assert_eq!(hosts(&[], "").lines().count(), USUAL);
        assert_eq!(hosts_on("127.0.0.1 localhost\n1.2.3.4 a", &own, "c"), "127.0.0.1 localhost\n1.2.3.4 a\n10.0.0.2\tc\n");
        assert_eq!(hosts_on("# localhost\n", &own, "c"), format!("# localhost\n{}", hosts(&own, "c")));
    }

    #[test]
    fn names_by_hand() {
        let entry =
            |name: &str, address: Option<&str>| HostEntry { name: name.to_owned(), address: address.map(|ip| ip.parse().unwrap()) };
        let entries = [entry("db", Some("fd00::7")), entry("host", None)];
        assert_eq!(extra_hosts(&entries, Some(IpAddr::from([10, 0, 0, 1]))).unwrap(), "fd00::7\tdb\n10.0.0.1\thost\n");
        let error = extra_hosts(&entries, None).unwrap_err().to_string();
        assert_eq!(error, "--add-host host:host-gateway: the container has no way to this host");
    }
}
