//! The host's settings, `/etc/rctr/config.toml`.
//!
//! ```toml
//! publish_default = "any"   # where -p 8080:80 is reached: any, or loopback for this host alone
//!
//! [storage]
//! driver = "auto"     # how layers are kept: erofs, tree, or auto
//!
//! [users]
//! auto = "2147483648:1073741824"   # what --userns auto takes ids from, FIRST:NUMBER with commas between them; without it
//!                                  # those of "containers" in /etc/subuid and /etc/subgid
//! ```

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use engine::UserPool;
use images::Driver;
use serde::Deserialize;

use crate::parse;

const FILE: &str = "/etc/rctr/config.toml";

/// What the file says. A key that nobody knows is an error.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    publish_default: Option<String>,
    storage: Storage,
    users: Users,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Users {
    auto: Option<String>,
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
            text => settings(&text.with_context(|| format!("read {FILE}"))?).with_context(|| format!("read {FILE}")),
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

    /// What `--userns auto` takes ids from.
    pub(crate) fn pool(&self) -> Result<UserPool> {
        let Some(text) = &self.users.auto else {
            return Ok(UserPool { uids: subordinate("/etc/subuid")?, gids: subordinate("/etc/subgid")? });
        };
        let ranges = text.split(',').map(|range| parse::pool(range.trim())).collect::<Result<Vec<_>, _>>();
        let ranges = ranges.map_err(anyhow::Error::msg).with_context(|| format!("users.auto in {FILE}"))?;
        Ok(UserPool { uids: ranges.clone(), gids: ranges })
    }

    /// How layers are kept.
    pub(crate) fn driver(&self) -> Result<Driver> {
        let driver = self.storage.driver.as_deref().unwrap_or("auto");
        driver.parse().with_context(|| format!("storage.driver in {FILE}"))
    }
}

/// The ranges in one of these files (subuid(5)) that are for containers, as Podman has it.
fn subordinate(file: &str) -> Result<Vec<(u32, u32)>> {
    let text = match std::fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.with_context(|| format!("read {file}"))?,
    };
    let lines = text.lines().filter_map(|line| line.strip_prefix("containers:"));
    lines.map(|range| parse::pool(range).map_err(anyhow::Error::msg).with_context(|| file.to_owned())).collect()
}

fn settings(text: &str) -> Result<Settings> {
    Ok(toml::from_str(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_published_where_it_says() {
        let on = |text: &str| settings(text).and_then(|settings| settings.publish_on());
        assert_eq!((on("").unwrap(), on("publish_default = \"any\"").unwrap()), (None, None));
        assert_eq!(on("publish_default = \"loopback\"").unwrap(), Some(IpAddr::from([127, 0, 0, 1])));
        let error = on("publish_default = \"none\"").unwrap_err().to_string();
        assert!(error.ends_with("\"none\" is neither any nor loopback"), "{error}");
    }

    #[test]
    fn ids_come_from_where_it_says() {
        let pool = |text: &str| settings(text).and_then(|settings| settings.pool());
        let found = pool("[users]\nauto = \"5:10, 100:7\"").unwrap();
        assert_eq!((found.uids.as_slice(), &found.gids), (&[(5, 10), (100, 7)][..], &found.uids));
        for bad in ["", "5", "5:0", "x:1", "4294967295:2"] {
            assert!(pool(&format!("[users]\nauto = \"{bad}\"")).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_driver_is_chosen() {
        let driver = |text: &str| settings(text).and_then(|settings| settings.driver());
        assert_eq!(driver("").unwrap(), Driver::Auto);
        assert_eq!(driver("[storage]\ndriver = \"tree\"").unwrap(), Driver::Tree);
        let error = format!("{:#}", driver("[storage]\ndriver = \"zfs\"").unwrap_err());
        assert!(error.ends_with("storage driver \"zfs\" is none of auto, erofs and tree"), "{error}");
        assert!(driver("[storage]\ndirver = \"tree\"").is_err());
    }
}
