//! The five capability sets (capabilities(7)).

use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, configure_capability_in_ambient_set,
    remove_capability_from_bounding_set, set_capabilities,
};
use sys::{Call, Error};

use crate::failure::During;
use crate::{Capabilities, Failure};

/// Drops from the bounding set what is not wanted there.
pub(super) fn limit(wanted: Option<&Capabilities>) -> Result<(), Failure> {
    let Some(wanted) = wanted else { return Ok(()) };
    for number in single(!wanted.bounding) {
        match remove_capability_from_bounding_set(number) {
            Ok(()) => {}
            // The kernel knows no more. It is asked by number, not by a list of names: a capability that is newer than this
            // program must go as well.
            Err(Errno::INVAL) => break,
            Err(errno) => {
                return Err(Error::new(format!("prctl(PR_CAPBSET_DROP, {number:?})"), errno)).during(|| "bounding capabilities");
            }
        }
    }
    Ok(())
}

/// Sets the other four. What the caller does not have cannot be given, which is no error (runtime-spec, `process.capabilities`).
pub(super) fn set(wanted: Option<&Capabilities>) -> Result<(), Failure> {
    match wanted {
        Some(wanted) => try_set(wanted).during(|| "capabilities"),
        None => Ok(()),
    }
}

fn try_set(wanted: &Capabilities) -> sys::Result<()> {
    let have = capabilities(None).call(|| "capget()")?.permitted;
    let own = |bits| CapabilitySet::from_bits_retain(bits) & have;
    let permitted = own(wanted.permitted);
    let sets = CapabilitySets { permitted, effective: own(wanted.effective) & permitted, inheritable: own(wanted.inheritable) };
    // Before: with a capability gone from permitted or inheritable it goes from ambient by itself, but none may be left of the
    // caller's own.
    clear_ambient_capability_set().call(|| "prctl(PR_CAP_AMBIENT_CLEAR_ALL)")?;
    set_capabilities(None, sets).call(|| format!("capset({sets:?})"))?;
    // Last: an ambient capability must be permitted and inheritable by then.
    for number in single(wanted.ambient & sets.permitted.bits() & sets.inheritable.bits()) {
        configure_capability_in_ambient_set(number, true).call(|| format!("prctl(PR_CAP_AMBIENT_RAISE, {number:?})"))?;
    }
    Ok(())
}

/// Each bit by itself, lowest first.
fn single(bits: u64) -> impl Iterator<Item = CapabilitySet> {
    (0..64).filter(move |number| bits >> number & 1 == 1).map(|number| CapabilitySet::from_bits_retain(1 << number))
}
