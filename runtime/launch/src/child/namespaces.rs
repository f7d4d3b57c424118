//! Namespaces that are joined or come late, and what is set in them.

use sys::Call;
use sys::ns::{kind, setns, unshare};

use super::{loopback, procfs};
use crate::create::Table;
use crate::failure::During;
use crate::{Failure, Plan};

/// Joins those of the plan's namespaces that are in `these`, and makes the ones that come late.
pub(crate) fn enter(plan: &Plan, table: &Table<'_>, these: u64) -> Result<(), Failure> {
    if plan.unshare & kind::CGROUP != 0 {
        unshare(kind::CGROUP as i32).during(|| "make the cgroup namespace")?;
    }
    if !plan.clocks.is_empty() {
        // Clocks can be set as long as nobody is in it.
        unshare(kind::TIME as i32).during(|| "make the time namespace")?;
        procfs::enter_clocks(&plan.clocks)?;
    }
    for (which, slot) in plan.join.iter().filter(|(which, _)| which & these != 0) {
        setns(table.get(*slot), *which as i32).during(|| "join a namespace")?;
    }
    Ok(())
}

/// Names, loopback, kernel settings.
pub(crate) fn configure(plan: &Plan) -> Result<(), Failure> {
    if let Some(name) = &plan.hostname {
        rustix::system::sethostname(name.as_bytes()).call(|| format!("sethostname({name:?})")).during(|| "host name")?;
    }
    if let Some(name) = &plan.domainname {
        rustix::system::setdomainname(name.as_bytes()).call(|| format!("setdomainname({name:?})")).during(|| "domain name")?;
    }
    if plan.loopback {
        loopback::up()?;
    }
    procfs::set(&plan.sysctls)
}
