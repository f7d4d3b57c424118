//! `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf` of a pod's containers.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use sys::Call;

use super::record::PodRecord;
use super::request::{PodDns, PodRequest};
use crate::config::Config;
use crate::error::During;
use crate::request::Dns;
use crate::spec::files;
use crate::{EndpointState, Error, NetworkState};

/// Writes them into the pod's folder.
pub(super) fn write(config: &Config, record: &PodRecord, hostname: &str, network: Option<&NetworkState>) -> Result<(), Error> {
    let folder = config.pod(&record.id);
    let own: Vec<IpAddr> = network.iter().flat_map(|network| &network.networks).flat_map(EndpointState::addresses).collect();
    let names = match record.request.full_name.as_str() {
        "" => hostname.to_owned(),
        full => format!("{full}\t{hostname}"),
    };
    let mut hosts = match record.has_network() {
        true => files::hosts(&own, &names),
        false => fs::read_to_string("/etc/hosts").unwrap_or_else(|_| files::hosts(&[], "")),
    };
    hosts.push_str(&files::extra_hosts(&record.request.hosts, None)?);
    let resolv_conf = match &record.request.dns {
        Some(dns) => exact(dns),
        None => {
            let host = fs::read_to_string(&config.resolv_conf).unwrap_or_default();
            let asked = if record.has_network() { files::Asked::Directly } else { files::Asked::AsHost };
            files::resolv_conf(&host, asked, &Dns::default())
        }
    };
    put(&folder, "hosts", &hosts)?;
    put(&folder, "resolv.conf", &resolv_conf)?;
    put(&folder, "hostname", &format!("{hostname}\n"))
}

fn put(folder: &Path, name: &str, text: &str) -> Result<(), Error> {
    let path = folder.join(name);
    fs::write(&path, text).call(|| format!("write({path:?})")).during(|| format!("make /etc/{name} of a pod"))
}

/// Refuses what would be something else in the files.
pub(super) fn check(request: &PodRequest) -> Result<(), Error> {
    let invalid = |what: String, why: &str| Err(Error::Invalid { what, why: why.to_owned() });
    let dns = request.dns.iter();
    let dns = dns.flat_map(|dns| [("server", &dns.servers), ("search domain", &dns.searches), ("option", &dns.options)]);
    let mut words: Vec<(&str, &String)> = dns.flat_map(|(what, words)| words.iter().map(move |word| (what, word))).collect();
    words.extend(request.hosts.iter().map(|entry| ("name of a host", &entry.name)));
    words.extend(Some(("full name", &request.full_name)).filter(|(_, name)| !name.is_empty()));
    for (what, word) in words {
        if word.is_empty() || word.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return invalid(format!("DNS {what} {word:?}"), "it needs to be one word");
        }
    }
    match request.hosts.iter().find(|entry| entry.address.is_none()) {
        Some(entry) => invalid(format!("DNS name of a host {:?}", entry.name), "it has no address"),
        None => Ok(()),
    }
}

fn exact(dns: &PodDns) -> String {
    let servers = dns.servers.iter().map(|server| format!("nameserver {server}\n"));
    let line = |key: &str, words: &[String]| (!words.is_empty()).then(|| format!("{key} {}\n", words.join(" ")));
    line("search", &dns.searches).into_iter().chain(servers).chain(line("options", &dns.options)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::HostEntry;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn only_what_is_asked_for() {
        let dns = PodDns { servers: words("10.0.0.1 fd00::1"), searches: words("a.local b"), options: words("ndots:5") };
        assert_eq!(exact(&dns), "search a.local b\nnameserver 10.0.0.1\nnameserver fd00::1\noptions ndots:5\n");
        assert_eq!(exact(&PodDns::default()), "");
    }

    #[test]
    fn a_word_is_one() {
        let with = |dns| PodRequest { dns: Some(dns), ..PodRequest::default() };
        assert!(check(&with(PodDns { options: words("ndots:5 rotate"), ..PodDns::default() })).is_ok());
        for bad in ["", "a b", "a\nnameserver 6.6.6.6"] {
            assert!(check(&with(PodDns { searches: vec![bad.to_owned()], ..PodDns::default() })).is_err(), "{bad:?}");
        }
        let host = |name: &str, address: Option<&str>| {
            let entry = HostEntry { name: name.to_owned(), address: address.map(|ip| ip.parse().unwrap()) };
            check(&PodRequest { hosts: vec![entry], ..PodRequest::default() })
        };
        assert!(host("db.lan", Some("10.0.0.7")).is_ok());
        assert!(host("db", None).is_err() && host("db\n6.6.6.6 bank", Some("10.0.0.7")).is_err());
        assert!(check(&PodRequest { full_name: "a b".to_owned(), ..PodRequest::default() }).is_err());
    }
}
