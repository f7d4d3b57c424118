//! The control plane in this process, and what nodes get from it.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use anyhow::{Context as _, Result};
use control::ControlPlane;

use crate::config::Control;
use crate::host::log::{Level, say};

/// Starts the control plane of this host, and says where it is.
pub(crate) async fn start(config: &Control) -> Result<ControlPlane> {
    let plane = control::serve(config.plane(own_address())?).await.context("start the control plane")?;
    let (address, kubeconfig) = (plane.address, plane.kubeconfig.display());
    say(Level::Info, &format!("serving the API on {address}; its administrator has {kubeconfig}"), &[]);
    Ok(plane)
}

/// The address of this host on its way to others. Nothing is sent.
pub(crate) fn own_address() -> Option<IpAddr> {
    towards(SocketAddr::from(([192, 0, 2, 1], 9)))
}

/// The address of this host on its way to that one.
pub(crate) fn towards(other: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = if other.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(other).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_unspecified())
}
