//! A connection to systemd, and its answers.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use crate::dbus::{Connection, Failure, Object, PATIENCE, Value, absent};

const MANAGER: Object<'static> =
    Object { name: "org.freedesktop.systemd1", path: "/org/freedesktop/systemd1", interface: "org.freedesktop.systemd1.Manager" };

/// A connection to the manager of the system or of a user.
#[derive(Debug)]
pub(super) struct Manager {
    bus: Connection,
    /// Jobs that have ended, and how.
    ended: Vec<(String, String)>,
}

impl Manager {
    /// Connects to the manager of the system, or of the user whose runtime folder this is: to its own socket, or else through the broker.
    pub(super) fn connect(user: Option<&Path>) -> Result<Manager, Failure> {
        let run = user.unwrap_or(Path::new("/run"));
        let broker = if user.is_some() { "bus" } else { "dbus/system_bus_socket" };
        let (own, broker) = (run.join("systemd/private"), run.join(broker));
        if let Ok(socket) = UnixStream::connect(&own) {
            return Manager::on(socket);
        }
        let mut bus = match UnixStream::connect(&broker) {
            Ok(_) => Connection::broker(&broker)?,
            Err(error) => return Err(absent(&[&own, &broker], &error)),
        };
        bus.listen(
            "type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.systemd1.Manager',member='JobRemoved'",
        )?;
        let mut manager = Manager { bus, ended: Vec::new() };
        // Without a subscriber systemd tells the broker nothing.
        manager.call("Subscribe", &[])?;
        Ok(manager)
    }

    /// Talks to a manager directly.
    pub(super) fn on(socket: UnixStream) -> Result<Manager, Failure> {
        Ok(Manager { bus: Connection::on(socket)?, ended: Vec::new() })
    }

    /// Calls a method of the manager, and returns the first text of the answer, if it has one.
    pub(super) fn call(&mut self, method: &str, body: &[Value]) -> Result<String, Failure> {
        self.bus.ask(&MANAGER, method, body).map(|answer| answer.text("s"))
    }

    /// What a unit is said to be, when it is loaded.
    pub(super) fn description(&mut self, unit: &str) -> Result<Option<String>, Failure> {
        self.property(unit, "Unit", "Description")
    }

    /// The cgroup of a scope, when it is loaded and has one.
    pub(super) fn cgroup(&mut self, scope: &str) -> Result<Option<String>, Failure> {
        Ok(self.property(scope, "Scope", "ControlGroup")?.filter(|path| !path.is_empty()))
    }

    fn property(&mut self, unit: &str, interface: &str, name: &str) -> Result<Option<String>, Failure> {
        let path = match self.call("GetUnit", &[Value::string(unit)]) {
            Err(failure) if failure.is("NoSuchUnit") => return Ok(None),
            path => path?,
        };
        let interface = format!("org.freedesktop.systemd1.{interface}");
        let unit = Object { path: &path, interface: &interface, ..MANAGER };
        self.bus.property(&unit, name).map(|answer| Some(answer.text("v")))
    }

    /// Waits until a job has been done.
    pub(super) fn done(&mut self, job: &str) -> Result<(), Failure> {
        let deadline = Some(Instant::now() + PATIENCE);
        loop {
            if let Some((_, result)) = self.ended.iter().find(|(ended, _)| ended == job) {
                return if result == "done" { Ok(()) } else { Err(Failure::Job(result.clone())) };
            }
            let signal = self.bus.signal(deadline)?;
            if signal.name == "JobRemoved"
                && let Some([_, job, _, result]) = signal.texts("uoss").as_deref()
            {
                self.ended.push((job.clone(), result.clone()));
            }
        }
    }
}

#[cfg(test)]
#[path = "manager_tests.rs"]
mod tests;
