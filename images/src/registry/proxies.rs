//! Proxies on the way to registries.

use std::fmt;

use reqwest::{ClientBuilder, NoProxy, Proxy};

use super::error::Failure;

/// Addresses of proxies, as the environment has them. The default is none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For registries over plain http.
    pub http: Option<String>,
    /// For all others.
    pub https: Option<String>,
    /// Hosts, domains and networks that are reached directly, separated by commas. This host always is.
    pub none_for: Option<String>,
}

/// An address may have a password in it.
impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxies(http: {}, https: {})", self.http.is_some(), self.https.is_some())
    }
}

impl Proxies {
    /// As variables name them that curl knows too. `variable` answers the value of one.
    pub fn named(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&str]| names.iter().find_map(|name| variable(name).filter(|value| !value.is_empty()));
        Proxies {
            http: first(&["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]),
            https: first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            none_for: first(&["no_proxy", "NO_PROXY"]),
        }
    }

    /// Tells a client about them. What the environment says it must not find out by itself.
    pub(super) fn add(&self, builder: ClientBuilder) -> Result<ClientBuilder, Failure> {
        let none = self.none_for.as_deref().and_then(NoProxy::from_string);
        let wrong = |_| Failure::Connect("the proxy's address is none: it has the form http://HOST:PORT".into());
        let mut builder = builder.no_proxy();
        if let Some(address) = &self.http {
            builder = builder.proxy(Proxy::http(address).map_err(wrong)?.no_proxy(none.clone()));
        }
        if let Some(address) = &self.https {
            builder = builder.proxy(Proxy::https(address).map_err(wrong)?.no_proxy(none));
        }
        Ok(builder)
    }
}
