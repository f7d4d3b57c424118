//! What Docker's `daemon.json` says about registries (dockerd(8), `--registry-mirror` and `--insecure-registry`), for hosts that had Docker. It counts where
//! neither `registries.conf` nor `hosts.toml` says anything.

use std::fs;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::Path;

use reqwest::Url;
use serde::Deserialize;

use super::error::Error;
use super::hosts::{self, Reach};
use super::registries::{Invalid, Place};
use crate::Reference;
use crate::reference::check_registry;

/// The registry that mirrors are for.
const HUB: &str = "docker.io";

/// `daemon.json`, as far as it is about registries.
#[derive(Debug, Clone, Default)]
pub(super) struct Docker {
    /// Asked for images of the Hub, in this order.
    mirrors: Vec<Url>,
    insecure: Vec<Insecure>,
}

/// Registries that need no certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Insecure {
    /// `registry.example:5000`.
    Host(String),
    /// Addresses that begin with so many bits of this one.
    Network(IpAddr, u32),
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct File {
    registry_mirrors: Vec<String>,
    insecure_registries: Vec<String>,
}

impl Docker {
    /// Reads the file, if it is there.
    pub(super) fn load(path: &Path) -> Result<Self, Error> {
        let bytes = match fs::read(path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Docker::default()),
            bytes => bytes.map_err(|source| Error::Read { path: path.to_owned(), source })?,
        };
        parse(&bytes).map_err(|source| Error::Registries { path: path.to_owned(), source })
    }

    /// Where an image is: mirrors of the Hub, then the registry.
    pub(super) fn places(&self, reference: &Reference) -> Vec<Place> {
        let own = Place {
            insecure: self.is_insecure(reference.registry()),
            ..Place::plain(reference.registry(), reference.repository())
        };
        let mirrors = self.mirrors.iter().filter(|_| reference.registry() == HUB).map(|mirror| self.mirror(mirror, reference));
        mirrors.chain([own]).collect()
    }

    fn mirror(&self, mirror: &Url, reference: &Reference) -> Place {
        let registry = hosts::host(mirror);
        let path = mirror.path().trim_end_matches('/');
        let reach = Reach {
            scheme: Some(if mirror.scheme() == "http" { "http" } else { "https" }),
            path: (!path.is_empty()).then(|| format!("{path}/v2")),
            ..Reach::default()
        };
        Place { insecure: self.is_insecure(&registry), reach, ..Place::plain(&registry, reference.repository()) }
    }

    fn is_insecure(&self, registry: &str) -> bool {
        let name = registry
            .rsplit_once(':')
            .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
            .map_or(registry, |(name, _)| name);
        let address: Option<IpAddr> = name.trim_matches(['[', ']']).parse().ok();
        self.insecure.iter().any(|insecure| match insecure {
            Insecure::Host(host) => host == registry,
            Insecure::Network(network, bits) => address.is_some_and(|address| bits_of(address, *bits) == bits_of(*network, *bits)),
        })
    }
}

fn parse(bytes: &[u8]) -> Result<Docker, Invalid> {
    let File { registry_mirrors, insecure_registries } = serde_json::from_slice(bytes).map_err(|error| Invalid::Json {
        line: error.line(),
        message: error.to_string().split(" at line").next().unwrap_or_default().to_owned(),
    })?;
    let mirror = |address: &String| {
        let url = address.parse::<Url>().ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some());
        let good = url.filter(|url| check_registry(&hosts::host(url)).is_ok());
        good.ok_or_else(|| Invalid::Host { name: address.clone(), problem: "it is no address of a registry".into() })
    };
    Ok(Docker {
        mirrors: registry_mirrors.iter().map(mirror).collect::<Result<_, _>>()?,
        insecure: insecure_registries.iter().map(|text| insecure(text)).collect(),
    })
}

fn insecure(text: &str) -> Insecure {
    let network = || {
        let (address, bits) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let bits = bits.parse().ok().filter(|bits| *bits <= if address.is_ipv4() { 32 } else { 128 })?;
        Some(Insecure::Network(address, bits))
    };
    network().unwrap_or_else(|| Insecure::Host(text.trim_start_matches("http://").trim_start_matches("https://").to_owned()))
}

/// The first bits of an address, and whether it is one of version 4.
fn bits_of(address: IpAddr, bits: u32) -> (bool, u128) {
    match address {
        IpAddr::V4(address) => (true, u128::from(u32::from(address)).checked_shr(32 - bits.min(32)).unwrap_or(0)),
        IpAddr::V6(address) => (false, u128::from(address).checked_shr(128 - bits.min(128)).unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_and_insecure_registries() {
        let docker = parse(
            br#"{"registry-mirrors": ["https://m.example", "http://10.1.2.3:5000/hub/"], "log-driver": "json-file",
                "insecure-registries": ["r.example:5000", "10.0.0.0/8", "fd00::/16", "0.0.0.0/33"]}"#,
        );
        let docker = docker.unwrap();
        let places = |name: &str| docker.places(&name.parse().unwrap());
        let [first, second, own] = &places("busybox")[..] else { panic!("{docker:?}") };
        assert_eq!((first.registry.as_str(), first.insecure, first.repository.as_str()), ("m.example", false, "library/busybox"));
        assert_eq!((second.registry.as_str(), second.insecure), ("10.1.2.3:5000", true));
        assert_eq!((second.reach.scheme, second.reach.path.as_deref()), (Some("http"), Some("/hub/v2")));
        assert_eq!((own.registry.as_str(), own.insecure), ("docker.io", false));
        let insecure = |name: &str| places(name).iter().map(|place| place.insecure).collect::<Vec<_>>();
        for name in ["r.example:5000/a", "10.200.0.1/a", "10.200.0.1:5000/a"] {
            assert_eq!(insecure(name), [true], "{name}");
        }
        for name in ["r.example/a", "11.0.0.1/a", "ten.example/a"] {
            assert_eq!(insecure(name), [false], "{name}");
        }
        for (text, said) in [
            ("{\n\"registry-mirrors\": 1}", "line 2: "),
            ("{", "line 1: "),
            (r#"{"registry-mirrors": ["m.example"]}"#, "\"m.example\": it is no address of a registry"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
        let nothing = Docker::load(Path::new("/no/such/daemon.json")).unwrap();
        assert_eq!(nothing.places(&"a".parse().unwrap()), [Place::plain("docker.io", "library/a")]);
    }
}
