//! `NAME.network`: a service that makes a network.

use super::keys::How;
use super::units::Making;
use super::words;

const TABLE: &[(&str, How)] = &[
    ("Driver", How::Last("--driver")),
    ("Subnet", How::Each("--subnet")),
    ("Gateway", How::Each("--gateway")),
    ("IPRange", How::Each("--ip-range")),
    ("IPv6", How::Switch(&["--ipv6"])),
    ("Internal", How::Switch(&["--internal"])),
    ("Label", How::Words("--label")),
    ("Options", How::Words("--opt")),
    ("InterfaceName", How::Last("--interface-name")),
    ("IPAMDriver", How::Last("--ipam-driver")),
    ("NetworkName", How::Own),
    ("NetworkDeleteOnStop", How::Own),
    ("DisableDNS", How::Only("false", "containers of one network find each other by name")),
    ("DNS", How::Never("a container asks whom the host asks, or those of its own DNS=")),
];

pub(super) fn service(making: &mut Making<'_>) -> Result<(), String> {
    let unit = making.unit.clone();
    let keys = making.keys(&unit);
    let mut command = keys.command(making.program, &["network", "create", "--ignore"], TABLE)?;
    command.extend(keys.words("PodmanArgs")?);
    command.push(making.resource.clone());
    if keys.is_true("NetworkDeleteOnStop")? == Some(true) {
        let remove = keys.line(making.program, &["network", "rm", &making.resource])?;
        making.unit.add("Service", "ExecStopPost", &words::join(&remove));
    }
    making.once(&command);
    Ok(())
}
