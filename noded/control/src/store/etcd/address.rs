//! Which etcd, and how it is reached.

use std::path::Path;

/// The port of etcd's clients.
const PORT: u16 = 2379;
/// Keys begin so, unless it is said otherwise.
const PREFIX: &str = "noded";

/// An etcd cluster, and the part of it that is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `http://HOST:PORT` or `https://HOST:PORT` of each member.
    pub endpoints: Vec<String>,
    /// All keys begin with this and a `/`.
    pub prefix: String,
    /// Whom to trust and who we are; nothing: no TLS.
    pub tls: Option<Tls>,
}

/// How TLS is spoken with etcd.
#[derive(Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificates of authorities that etcd's own certificate may come from, PEM.
    pub authority: String,
    /// Certificate and key that are shown to etcd, PEM.
    pub client: Option<(String, String)>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("client", &self.client.is_some()).finish_non_exhaustive()
    }
}

/// Files for TLS with etcd; an empty path says that there is none.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    /// Certificates of authorities.
    pub authority: &'a Path,
    /// Our certificate.
    pub certificate: &'a Path,
    /// Its key.
    pub key: &'a Path,
}

/// Why this says of no etcd where it is.
#[derive(Debug, thiserror::Error)]
pub enum NotAnAddress {
    /// It has another form.
    #[error("{0:?} is not of the form etcd://HOST:PORT,HOST:PORT or etcd://HOST:PORT/PREFIX")]
    Form(String),
    /// A file cannot be read.
    #[error("read {0}")]
    File(String, #[source] std::io::Error),
    /// Of a certificate and a key one is missing.
    #[error("a client certificate and its key are only of use together")]
    Half,
    /// Nothing says whom to trust.
    #[error("https needs to be told the authority that etcd's certificate comes from")]
    NoAuthority,
}

impl Address {
    /// Reads `etcd://HOST:PORT,HOST:PORT/PREFIX`; with an authority's file it is TLS, which `https://` insists on.
    ///
    /// # Errors
    /// Another form, files that cannot be read.
    pub fn read(text: &str, files: Files<'_>) -> Result<Self, NotAnAddress> {
        let tls = tls(files)?;
        let form = || NotAnAddress::Form(text.into());
        let (scheme, rest) = text.split_once("://").ok_or_else(form)?;
        match scheme {
            "etcd" => {}
            "https" if tls.is_some() => {}
            "https" => return Err(NotAnAddress::NoAuthority),
            _ => return Err(form()),
        }
        let (hosts, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/');
        let prefix = Some(prefix.trim_matches('/')).filter(|p| !p.is_empty()).unwrap_or(PREFIX);
        if !prefix.bytes().all(plain) {
            return Err(form());
        }
        let scheme = if tls.is_some() { "https" } else { "http" };
        let endpoint = |host: &str| {
            // the same host may be given as an URL, as etcd's own tools have it
            let host = host.rsplit_once("://").map_or(host, |(_, host)| host);
            let authority: hyper::http::uri::Authority = host.parse().ok().filter(|_| !host.contains('@'))?;
            let (name, port) = (authority.host(), authority.port_u16());
            let is_whole = !name.is_empty() && (port.is_some() || name == host);
            is_whole.then(|| format!("{scheme}://{name}:{}", port.unwrap_or(PORT)))
        };
        let endpoints = hosts.split(',').map(|host| endpoint(host).ok_or_else(form)).collect::<Result<_, _>>()?;
        Ok(Self { endpoints, prefix: format!("/{prefix}"), tls })
    }
}

fn tls(files: Files<'_>) -> Result<Option<Tls>, NotAnAddress> {
    let read = |path: &Path| {
        let read = || std::fs::read_to_string(path).map_err(|e| NotAnAddress::File(path.display().to_string(), e));
        (!path.as_os_str().is_empty()).then(read).transpose()
    };
    let client = match (read(files.certificate)?, read(files.key)?) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err(NotAnAddress::Half),
    };
    match read(files.authority)? {
        Some(authority) => Ok(Some(Tls { authority, client })),
        None if client.is_some() => Err(NotAnAddress::NoAuthority),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Address, NotAnAddress> {
        let none = Path::new("");
        Address::read(text, Files { authority: none, certificate: none, key: none })
    }

    #[test]
    fn addresses_are_read() {
        let one = read("etcd://a:2379,10.0.0.1,[::1]:79/blue/sky/").unwrap();
        assert_eq!(one.endpoints, ["http://a:2379", "http://10.0.0.1:2379", "http://[::1]:79"]);
        assert_eq!((one.prefix.as_str(), one.tls), ("/blue/sky", None));
        assert_eq!(read("etcd://a").unwrap().prefix, "/noded");
        for bad in ["a:2379", "etcd://", "etcd://a,,b", "redis://a", "etcd://a/b c", "etcd://u:p@a", "etcd://a:b"] {
            assert!(matches!(read(bad), Err(NotAnAddress::Form(_))), "{bad}");
        }
        assert!(matches!(read("https://a"), Err(NotAnAddress::NoAuthority)));
    }

    #[test]
    fn an_authority_makes_it_tls() {
        let folder = tempfile::tempdir().unwrap();
        let (file, none) = (folder.path().join("pem"), Path::new(""));
        std::fs::write(&file, "PEM").unwrap();
        let read = |authority, certificate, key| Address::read("etcd://a", Files { authority, certificate, key });
        let found = read(&file, &file, &file).unwrap();
        assert_eq!(found.endpoints, ["https://a:2379"]);
        assert!(found.tls.as_ref().is_some_and(|tls| tls.client.is_some()) && !format!("{found:?}").contains("PEM"));
        assert!(matches!(read(&file, &file, none), Err(NotAnAddress::Half)));
        assert!(matches!(read(none, &file, &file), Err(NotAnAddress::NoAuthority)));
        assert!(matches!(read(&folder.path().join("x"), none, none), Err(NotAnAddress::File(..))));
    }
}
