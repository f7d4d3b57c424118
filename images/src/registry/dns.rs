//! Host names to addresses without the C library: a static glibc would load the host's NSS modules, which may be of another
//! version (getaddrinfo(3), nsswitch.conf(5)).

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Reads `/etc/hosts` and `/etc/resolv.conf` when the first name is looked up.
#[derive(Clone, Default)]
pub(super) struct Resolver(Arc<OnceLock<TokioResolver>>);

/// There is no such name, or it has no address.
#[derive(Debug, thiserror::Error)]
#[error("no such host")]
pub(super) struct NoSuchHost;

/// Nobody could tell.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NoAnswer(pub(super) String);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let addresses = resolver.addresses(name.as_str()).await?;
            Ok(Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

impl Resolver {
    async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, Box<dyn Error + Send + Sync>> {
        // RFC 6761, section 6.3: never asked of a server.
        if is_local(name) {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let resolver = match self.0.get() {
            Some(resolver) => resolver,
            None => {
                let made = resolver().map_err(|error| NoAnswer(error.to_string()))?;
                self.0.get_or_init(|| made)
            }
        };
        match resolver.lookup_ip(name).await {
            Ok(found) => Ok(found.iter().collect()),
            Err(error) if error.is_nx_domain() || error.is_no_records_found() => Err(NoSuchHost.into()),
            Err(error) => Err(NoAnswer(error.to_string()).into()),
        }
    }
}

/// `localhost` and names below it.
pub(super) fn is_local(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost")
}

fn resolver() -> Result<TokioResolver, NetError> {
    let mut builder = TokioResolver::builder_tokio().unwrap_or_else(|_| {
        // Without a readable resolv.conf the server is on this host (resolv.conf(5)).
        let server = NameServerConfig::udp_and_tcp(Ipv4Addr::LOCALHOST.into());
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    });
    builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn local_names() {
        let resolver = Resolver::default();
        for name in ["localhost", "LOCALHOST.", "registry.localhost"] {
            assert_eq!(resolver.addresses(name).await.unwrap()[0], Ipv4Addr::LOCALHOST, "{name}");
        }
        assert!(!is_local("localhost.example") && !is_local("notlocalhost"));
    }

    /// The names of this machine's own `/etc/hosts`.
    #[tokio::test]
    async fn names_of_the_hosts_file() {
        let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
        let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default().split_ascii_whitespace());
        let resolver = Resolver::default();
        for mut words in lines {
            let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else { continue };
            for name in words.filter(|name| !is_local(name)) {
                assert!(resolver.addresses(name).await.unwrap().contains(&address), "{name}");
            }
        }
    }
}
