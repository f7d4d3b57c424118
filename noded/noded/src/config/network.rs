//! `[network]`: how pods of this node reach those of others.

use anyhow::{Result, ensure};
use serde::Deserialize;

/// `[network]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Network {
    pub(crate) mode: Mode,
    pub(crate) vni: u32,
    pub(crate) port: u16,
}

/// By which ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    Auto,
    Routes,
    Vxlan,
    Off,
}

impl Default for Network {
    fn default() -> Self {
        Network { mode: Mode::Auto, vni: 82, port: 4789 }
    }
}

impl Network {
    pub(super) fn check(&self) -> Result<()> {
        ensure!((1..1 << 24).contains(&self.vni), "network.vni: {} is not from 1 to 16777215", self.vni);
        ensure!(self.port > 0, "network.port: 0 is no port");
        Ok(())
    }

    /// The same for crate `net`; none where it is not this program's business. The device belongs to the bridge.
    pub(crate) fn mesh(&self, bridge: &str) -> Option<net::mesh::Settings> {
        let mode = match self.mode {
            Mode::Auto => net::mesh::Mode::Auto,
            Mode::Routes => net::mesh::Mode::Routes,
            Mode::Vxlan => net::mesh::Mode::Vxlan,
            Mode::Off => return None,
        };
        // The kernel's names of interfaces have 15 bytes.
        let device = format!("{}-vx", &bridge[..bridge.len().min(12)]);
        Some(net::mesh::Settings { mode, device, vni: self.vni, port: self.port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_has_the_bridge_s_name() {
        let name = |bridge| Network::default().mesh(bridge).map(|settings| settings.device);
        assert_eq!(name("rctr0").as_deref(), Some("rctr0-vx"));
        assert_eq!(name("abcdefghijklmno").as_deref(), Some("abcdefghijkl-vx"));
        assert_eq!(Network { mode: Mode::Off, ..Network::default() }.mesh("rctr0"), None);
    }
}
