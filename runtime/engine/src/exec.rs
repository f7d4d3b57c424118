//! `exec`: another process in a running container.

use monitor::{Exec, Request};
use sys::fs::open_dir;

use crate::error::During;
use crate::record::check_workdir;
use crate::session::Session;
use crate::spec::{self, user};
use crate::wait::open_process;
use crate::{Container, Engine, Error, ExecRequest, Kind, Status, names, secret};

impl Engine {
    /// Runs another process in the container; the session is about that process. It returns when the program has been executed.
    ///
    /// # Errors
    /// [`Error::NotRunning`], [`Error::User`], [`Error::Start`] with the kind that decides the exit code.
    pub fn exec(&self, given: &str, request: &ExecRequest) -> Result<Session, Error> {
        check_workdir(request.workdir.as_deref())?;
        let (container, session) = self.running(given)?;
        self.executed(&container, session, request).map_err(|error| match error {
            // In the words of the kernel, when the container ends meanwhile.
            Error::System { .. } | Error::MonitorGone(_) | Error::Start { kind: Kind::Runtime, .. }
                if !self.container(&container.record.id).is_ok_and(|container| container.is_running()) =>
            {
                Error::NotRunning(names::short(&container.record))
            }
            other => other,
        })
    }

    fn executed(&self, container: &Container, mut session: Session, request: &ExecRequest) -> Result<Session, Error> {
        let record = &container.record;
        let not_running = || Error::NotRunning(names::short(record));
        if matches!(container.status, Status::Paused { .. }) {
            // A process that joins would be frozen on its way.
            return Err(Error::Paused(names::short(record)));
        }
        let (pid, _) = container.process().ok_or_else(not_running)?;
        let root = open_dir(format!("/proc/{pid}/root")).during(|| format!("look into container {}", names::short(record)))?;
        // Opened before this check, so the folder belongs to the process that the record means.
        drop(open_process(container).ok_or_else(not_running)?);
        let identity = user::identify(&root, request.user.as_deref().unwrap_or(&record.user), &record.tuning)?;
        let process = spec::exec(record, request, &identity, secret::variables(self, record)?)?;
        let host = self.config.host()?;
        let mut process = container::compile_process(&process, &host).map_err(Error::Container)?;
        process.groups_denied = self.config.groups_denied();
        if !request.privileged {
            spec::confine(&mut process, &record.security, &host, &self.config.run)?;
        }
        let id = names::new_id()?;
        let exec = Exec { process, stdin: request.stdin, detach: request.detach, id: id.clone() };
        // Before its end can be told.
        // With a blank behind the program, as Docker writes it.
        let (program, rest) = request.cmd.split_first().map_or(("", &[][..]), |(program, rest)| (program.as_str(), rest));
        let command = format!("{program} {}", rest.join(" "));
        let actions = [format!("exec_create: {command}"), format!("exec_start: {command}")];
        self.told_all(record, &actions.each_ref().map(String::as_str), &[("execID", &id)]);
        session.send(&Request::Exec(Box::new(exec)), &[])?;
        session.started()?;
        Ok(session)
    }
}
