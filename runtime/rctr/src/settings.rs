//! The host's settings, `/etc/rctr/config.toml`.
//!
//! ```toml
//! publish_default = "any"   # where -p 8080:80 is reached: any, or loopback for this host alone
//!
//! [storage]
//! driver = "auto"     # how layers are kept: erofs, tree, or auto
//! ```

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use images::Driver;
use serde::Deserialize;

const FILE: &str = "/etc/rctr/config.toml";

/// What the file says. A key that nobody knows is an error.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    publish_default: Option<String>,
    storage: Storage,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Storage {
    driver: Option<String>,
}

impl Settings {
    /// Reads the file; without one all is as by default.
    pub(crate) fn load() -> Result<Settings> {
        match std::fs::read_to_string(Path::new(FILE)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Settings::default()),
            text => parse(&text.with_context(|| format!("read {FILE}"))?).with_context(|| format!("read {FILE}")),
        }
    }

    /// The address for ports that are published without one; any when there is none.
    pub(crate) fn publish_on(&self) -> Result<Option<IpAddr>> {
        match self.publish_default.as_deref().unwrap_or("any") {
            "any" => Ok(None),
            "loopback" => Ok(Some(IpAddr::V4(Ipv4Addr::LOCALHOST))),
            other => bail!("publish_default in {FILE}: {other:?} is neither any nor loopback"),
        }
    }

    /// How layers are kept.
    pub(crate) fn driver(&self) -> Result<Driver> {
        let driver = self.storage.driver.as_deref().unwrap_or("auto");
        driver.parse().with_context(|| format!("storage.driver in {FILE}"))
    }
}

fn parse(text: &str) -> Result<Settings> {
    Ok(toml::from_str(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_published_where_it_says() {
        let on = |text: &str| parse(text).and_then(|settings| settings.publish_on());
        assert_eq!((on("").unwrap(), on("publish_default = \"any\"").unwrap()), (None, None));
        assert_eq!(on("publish_default = \"loopback\"").unwrap(), Some(IpAddr::from([127, 0, 0, 1])));
        let error = on("publish_default = \"none\"").unwrap_err().to_string();
        assert!(error.ends_with("\"none\" is neither any nor loopback"), "{error}");
    }

    #[test]
    fn a_driver_is_chosen() {
        let driver = |text: &str| parse(text).and_then(|settings| settings.driver());
        assert_eq!(driver("").unwrap(), Driver::Auto);
        assert_eq!(driver("[storage]\ndriver = \"tree\"").unwrap(), Driver::Tree);
        let error = format!("{:#}", driver("[storage]\ndriver = \"zfs\"").unwrap_err());
        assert!(error.ends_with("storage driver \"zfs\" is none of auto, erofs and tree"), "{error}");
        assert!(driver("[storage]\ndirver = \"tree\"").is_err());
    }
}
