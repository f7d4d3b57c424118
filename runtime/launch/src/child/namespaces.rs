//! Namespaces that are joined or come late, and what is set in them.

use sys::Call;
use sys::ns::{kind, setns, unshare};

use super::{loopback, procfs};
use crate::create::Table;
use crate::failure::During;
use crate::{Failure, Plan};

/// Joins the plan's namespaces and makes the cgroup namespace.
pub(crate) fn enter(plan: &Plan, table: &Table<'_>) -> Result<(), Failure> {
    if plan.unshare & kind::CGROUP != 0 {
        unshare(kind::CGROUP as i32).during(|| "make the cgroup namespace")?;
    }
    for (which, slot) in &plan.join {
        // A pid namespace is entered by being born there: the parent has seen to it.
        if *which != kind::PID {
            setns(table.get(*slot), *which as i32).during(|| "join a namespace")?;
        }
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
