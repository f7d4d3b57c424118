//! Network devices of the host that become a container's (runtime-spec, "Network devices"). They keep their hardware address and MTU, which
//! are theirs, and their addresses, which the kernel takes from a device that moves.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use sys::ns::{kind, setns};
use sys::{Call, Error};

use crate::child::procfs;
use crate::failure::During;
use crate::netlink::{NLM_F_DUMP, NLM_F_NEW, RTM_GETADDR, RTM_GETLINK, RTM_NEWADDR, RTM_NEWLINK, Request, attributes, word};
use crate::{Failure, NetDevice};

const IFF_UP: u32 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_NET_NS_FD: u16 = 28;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
/// An address that was given for good, not learnt from a router (`IFA_F_PERMANENT`).
const PERMANENT: u32 = 0x80;
/// Flags that who sets an address chooses: `IFA_F_NODAD`, `IFA_F_MANAGETEMPADDR`, `IFA_F_NOPREFIXROUTE`.
const CHOSEN: u32 = 0x02 | 0x100 | 0x200;

/// `struct ifinfomsg` for a device, which is brought up or left as it is.
pub(crate) fn link(index: u32, up: bool) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    if up {
        header[8..12].copy_from_slice(&IFF_UP.to_ne_bytes());
        header[12..].copy_from_slice(&IFF_UP.to_ne_bytes());
    }
    header
}

/// A network namespace and a socket in it.
struct Side {
    namespace: OwnedFd,
    socket: OwnedFd,
}

/// Moves `devices` into the network namespace of the process `pid`. What was moved before one that cannot be comes back.
pub(crate) fn move_all(devices: &[NetDevice], pid: u32) -> Result<(), Failure> {
    let home = namespace("self").and_then(|namespace| Ok(Side { namespace, socket: sys::netlink::socket(None)? }));
    let home = home.during(|| "move network devices")?;
    let theirs = namespace(&pid.to_string()).and_then(|namespace| {
        let socket = socket_in(&home, &namespace)?;
        Ok(Side { namespace, socket })
    });
    let theirs = theirs.during(|| "move network devices")?;
    let mut moved = Vec::new();
    let done = devices.iter().try_for_each(|NetDevice { outside, inside }| {
        let done = relocate(&home, outside, &theirs, inside).and_then(|found| {
            let furnished = furnish(&theirs, inside, &Device { up: true, ..found.clone() });
            moved.push((outside, inside, found));
            furnished
        });
        done.during(|| format!("move the network device {outside:?} to {inside:?}"))
    });
    if done.is_err() {
        for (outside, inside, device) in moved {
            let _ = relocate(&theirs, inside, &home, outside).and_then(|_| furnish(&home, outside, &device));
        }
    }
    done
}

fn namespace(process: &str) -> sys::Result<OwnedFd> {
    let path = format!("{process}/ns/net");
    openat(procfs::host()?, &path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).call(|| format!("openat(procfs, {path:?})"))
}

/// A socket belongs to the namespace that its maker is in.
fn socket_in(home: &Side, namespace: &OwnedFd) -> sys::Result<OwnedFd> {
    setns(namespace, kind::NET as i32)?;
    let socket = sys::netlink::socket(None);
    setns(&home.namespace, kind::NET as i32)?;
    socket
}

/// What a device has that does not move with it.
#[derive(Clone)]
struct Device {
    up: bool,
    addresses: Vec<Address>,
}

/// Moves one device, which gets another name there, and is down then.
fn relocate(from: &Side, name: &str, to: &Side, new: &str) -> sys::Result<Device> {
    let (index, up) = find(&from.socket, name)?;
    // Or it would be renamed only once it is there, and could not.
    if find(&to.socket, new).is_ok() {
        return Err(Error::new(format!("RTM_GETLINK({new:?}): the name is taken"), Errno::EXIST));
    }
    let addresses = addresses(&from.socket, index)?;
    Request::new("RTM_NEWLINK(IFLA_NET_NS_FD, IFLA_IFNAME)", RTM_NEWLINK, 0, &link(index, false))
        .attribute(IFLA_NET_NS_FD, &(to.namespace.as_raw_fd() as u32).to_ne_bytes())
        .attribute(IFLA_IFNAME, &name_of(new))
        .ask(&from.socket, |_| {})?;
    Ok(Device { up, addresses })
}

/// Gives a device its addresses back, and brings it up.
fn furnish(side: &Side, name: &str, device: &Device) -> sys::Result<()> {
    // It may have another number where it is now.
    let (index, _) = find(&side.socket, name)?;
    device.addresses.iter().try_for_each(|address| address.add(&side.socket, index))?;
    match device.up {
        true => Request::new("RTM_NEWLINK(IFF_UP)", RTM_NEWLINK, 0, &link(index, true)).ask(&side.socket, |_| {}),
        false => Ok(()),
    }
}

/// The number of a device, and whether it is up.
fn find(socket: &OwnedFd, name: &str) -> sys::Result<(u32, bool)> {
    let request = Request::new(format!("RTM_GETLINK({name:?})"), RTM_GETLINK, 0, &link(0, false));
    let mut found = None;
    request.attribute(IFLA_IFNAME, &name_of(name)).ask(socket, |body| {
        found = body.get(4..12).map(|body| (word(&body[..4]), word(&body[4..]) & IFF_UP != 0));
    })?;
    found.ok_or_else(|| Error::new(format!("RTM_GETLINK({name:?})"), Errno::BADMSG))
}

fn name_of(name: &str) -> Vec<u8> {
    [name.as_bytes(), b"\0"].concat()
}

/// An address of a device.
#[derive(Clone)]
struct Address {
    family: u8,
    prefix: u8,
    attributes: Vec<(u16, Vec<u8>)>,
}

/// The addresses of a device that are its own: of global scope, and for good.
fn addresses(socket: &OwnedFd, device: u32) -> sys::Result<Vec<Address>> {
    let mut all = Vec::new();
    Request::new("RTM_GETADDR", RTM_GETADDR, NLM_F_DUMP, &[0; 8]).ask(socket, |body| all.extend(own(body, device)))?;
    Ok(all)
}

/// `struct ifaddrmsg` is family, length of the prefix, flags, scope and the device's number.
fn own(body: &[u8], device: u32) -> Option<Address> {
    let (header, rest) = body.split_at_checked(8)?;
    let long = attributes(rest).find(|(kind, _)| *kind == IFA_FLAGS).map(|(_, value)| word(value));
    let flags = long.unwrap_or(u32::from(header[2]));
    if word(&header[4..]) != device || header[3] != 0 || flags & PERMANENT == 0 {
        return None;
    }
    let kept = attributes(rest).filter(|(kind, _)| matches!(*kind, IFA_ADDRESS | IFA_LOCAL | IFA_BROADCAST));
    let mut attributes: Vec<_> = kept.map(|(kind, value)| (kind, value.to_vec())).collect();
    attributes.push((IFA_FLAGS, (flags & CHOSEN).to_ne_bytes().to_vec()));
    Some(Address { family: header[0], prefix: header[1], attributes })
}

impl Address {
    fn add(&self, socket: &OwnedFd, device: u32) -> sys::Result<()> {
        let mut header = [self.family, self.prefix, 0, 0, 0, 0, 0, 0];
        header[4..].copy_from_slice(&device.to_ne_bytes());
        let request = Request::new("RTM_NEWADDR", RTM_NEWADDR, NLM_F_NEW, &header);
        self.attributes.iter().fold(request, |request, (kind, value)| request.attribute(*kind, value)).ask(socket, |_| {})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(device: u8, scope: u8, flags: u8) -> Vec<u8> {
        let mut body = vec![2, 24, flags, scope, device, 0, 0, 0];
        body.extend([8, 0, 1, 0, 10, 0, 0, 1, 8, 0, 3, 0, b'x', 0, 0, 0]);
        body
    }

    #[test]
    fn only_addresses_of_its_own_move() {
        let found = own(&message(7, 0, 0x80), 7).unwrap();
        assert_eq!((found.family, found.prefix), (2, 24));
        assert_eq!(found.attributes, [(IFA_ADDRESS, vec![10, 0, 0, 1]), (IFA_FLAGS, vec![0; 4])], "without its label");
        assert!(own(&message(8, 0, 0x80), 7).is_none(), "of another device");
        assert!(own(&message(7, 253, 0x80), 7).is_none(), "of the link only");
        assert!(own(&message(7, 0, 0), 7).is_none(), "learnt");
        assert!(own(&[2, 24], 7).is_none());
    }
}
