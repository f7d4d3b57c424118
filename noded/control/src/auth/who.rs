//! The one who asks.

use x509_parser::prelude::{FromDer, X509Certificate};

use crate::certs::key_hash;

/// The group of everyone who is known.
const AUTHENTICATED: &str = "system:authenticated";

/// The one who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// What tells this user from a later one of the same name.
    pub uid: String,
    /// The groups.
    pub groups: Vec<String>,
}

impl User {
    /// A known user.
    pub fn new(name: impl Into<String>, groups: impl IntoIterator<Item = String>) -> Self {
        let mut groups: Vec<String> = groups.into_iter().collect();
        groups.push(AUTHENTICATED.into());
        Self { name: name.into(), uid: String::new(), groups }
    }

    /// Nobody known.
    pub fn anonymous() -> Self {
        Self { name: "system:anonymous".into(), uid: String::new(), groups: vec!["system:unauthenticated".into()] }
    }

    /// Whether the user is known.
    pub fn is_known(&self) -> bool {
        self.groups.iter().any(|g| g == AUTHENTICATED)
    }

    /// The node that this user is, if it is one.
    pub fn node(&self) -> Option<&str> {
        self.name.strip_prefix("system:node:").filter(|_| self.groups.iter().any(|g| g == "system:nodes"))
    }
}

/// Who has come with a certificate. The TLS layer looks at it once, and connections may be older.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Certified {
    pub(crate) user: User,
    /// When it ends, in seconds since 1970.
    pub(crate) end: i64,
    /// What tells its key from others.
    pub(crate) key: String,
}

impl Certified {
    /// From a client's certificate; nothing for one that names nobody.
    pub(crate) fn read(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let end = certificate.validity().not_after.timestamp();
        Some(Self { user: named(&certificate)?, end, key: key_hash(certificate.public_key().raw) })
    }
}

/// The user that a client certificate names: CN and O. The TLS layer has checked that our authority signed it.
pub fn from_certificate(der: &[u8]) -> Option<User> {
    named(&X509Certificate::from_der(der).ok()?.1)
}

fn named(certificate: &X509Certificate<'_>) -> Option<User> {
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_string();
    let groups = subject.iter_organization().filter_map(|o| o.as_str().ok().map(String::from));
    Some(User::new(name, groups.collect::<Vec<_>>()))
}
