//! `/exec`: further processes. They are known here by their ids as long as this service runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use engine::ExecRequest;
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, json as document};
use super::call::Call;
use super::refused::{Refused, bad};
use super::session::{self, Listening, Shared, carry};
use super::{Service, containers::attach, lock};
use crate::detach::{self, Keys};
use crate::{exit, parse};

/// So many that have ended are remembered.
const REMEMBERED: usize = 256;

/// All of them, in the order of their making.
#[derive(Default)]
pub(super) struct Execs(Mutex<(u64, BTreeMap<u64, Exec>)>);

/// One process that was asked for.
struct Exec {
    id: String,
    container: String,
    request: ExecRequest,
    listens: [bool; 2],
    keys: Option<Keys>,
    state: State,
}

enum State {
    Created,
    Running(Shared),
    /// With its code, if that is known.
    Ended(Option<i32>),
}

impl Execs {
    fn add(&self, exec: Exec) {
        let mut all = lock(&self.0);
        let number = all.0;
        all.0 += 1;
        // Those that never start are forgotten as well.
        let old: Vec<u64> = all.1.iter().filter(|(_, exec)| !matches!(exec.state, State::Running(_))).map(|(at, _)| *at).collect();
        for at in &old[..old.len().saturating_sub(REMEMBERED - 1)] {
            all.1.remove(at);
        }
        all.1.insert(number, exec);
    }

    fn with<T>(&self, id: &str, look: impl FnOnce(&mut Exec) -> Result<T>) -> Result<T> {
        let mut all = lock(&self.0);
        let found = all.1.values_mut().find(|exec| exec.id == id);
        let no_such = || anyhow::Error::from(Refused(StatusCode::NOT_FOUND, format!("No such exec instance: {id}")));
        look(found.ok_or_else(no_such)?)
    }
}

/// What is asked for, under the names of Docker's API.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Asked {
    #[serde(deserialize_with = "or_default")]
    cmd: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    env: Vec<String>,
    user: String,
    working_dir: String,
    tty: bool,
    privileged: bool,
    attach_stdin: bool,
    attach_stdout: bool,
    attach_stderr: bool,
    detach_keys: String,
    console_size: Option<(u16, u16)>,
}

/// `null` is as good as nothing.
fn or_default<'de, D: serde::Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

impl Asked {
    fn request(&self) -> Result<ExecRequest> {
        let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let read = |what: &str, read: Result<Option<String>, String>| read.map_err(|why| bad(format!("{what}: {why}")));
        if self.cmd.is_empty() {
            return Err(bad("Cmd: No exec command specified"));
        }
        Ok(ExecRequest {
            cmd: self.cmd.clone(),
            env: parse::environment(&[], &self.env, |_| None).map_err(|error| bad(format!("Env: {error}")))?,
            workdir: read("WorkingDir", some(&self.working_dir).map(|text| parse::workdir(&text)).transpose())?,
            user: read("User", some(&self.user).map(|text| parse::user(&text)).transpose())?,
            tty: self.tty,
            stdin: self.attach_stdin,
            // What it writes is taken here and its end known, whether anybody listens or not.
            detach: false,
            privileged: self.privileged,
            size: size(self.console_size),
        })
    }
}

fn size(size: Option<(u16, u16)>) -> Option<(u16, u16)> {
    size.filter(|(rows, columns)| *rows > 0 && *columns > 0)
}

/// `POST /containers/NAME/exec`.
pub(super) fn create(call: &mut Call) -> Result<Answer> {
    let asked: Asked = call.document()?;
    let request = asked.request()?;
    let container = call.service.engine.container(call.name())?;
    let record = &container.record;
    match &container.status {
        engine::Status::Paused { .. } => return Err(engine::Error::Paused(record.name.clone()).into()),
        engine::Status::Running { .. } => {}
        _ => return Err(engine::Error::NotRunning(record.name.clone()).into()),
    }
    let keys = detach::keys(&asked.detach_keys).map_err(|why| bad(format!("DetachKeys: {why}")))?;
    let id = engine::new_id()?;
    let exec = Exec {
        id: id.clone(),
        container: record.id.clone(),
        request,
        listens: [asked.attach_stdout, asked.attach_stderr],
        keys: Some(keys),
        state: State::Created,
    };
    call.service.execs.add(exec);
    Ok(Answer::Json(StatusCode::CREATED, json!({ "Id": id })))
}

/// How it is started.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Starting {
    detach: bool,
    tty: bool,
    console_size: Option<(u16, u16)>,
}

/// `POST /exec/ID/start`.
pub(super) fn start(call: &mut Call) -> Result<Answer> {
    let starting: Starting = call.document()?;
    let (service, id) = (Arc::clone(&call.service), call.name().to_owned());
    let conflict = |why: &str| anyhow::Error::from(Refused(StatusCode::CONFLICT, format!("exec {id}: {why}")));
    let (container, request, listens, keys) = service.execs.with(&id, |exec| match exec.state {
        State::Created => Ok((exec.container.clone(), exec.request.clone(), exec.listens, exec.keys.clone())),
        State::Running(_) => Err(conflict("it runs already")),
        State::Ended(_) => Err(conflict("it has run already")),
    })?;
    if !starting.detach && starting.tty != request.tty {
        return Err(bad("Tty: it was made otherwise"));
    }
    let stdin = request.stdin && !starting.detach && call.upgrades;
    let request = ExecRequest { stdin, size: size(starting.console_size).or(request.size), ..request };
    // Taken before it starts, so that nobody else does.
    service.execs.with(&id, |exec| match exec.state {
        State::Created => {
            exec.state = State::Ended(None);
            Ok(())
        }
        _ => Err(conflict("it runs already")),
    })?;
    let session = match service.engine.exec(&container, &request) {
        Ok(session) => session,
        Err(error) => return not_started(&service, &id, error, starting.detach, request.tty),
    };
    let session = Arc::new(Mutex::new(session));
    service.execs.with(&id, |exec| {
        exec.state = State::Running(Arc::clone(&session));
        Ok(())
    })?;
    let tty = request.tty;
    if starting.detach {
        tokio::spawn(to_its_end(service, id, session));
        return Ok(Answer::Empty(StatusCode::OK));
    }
    let [stdout, stderr] = listens;
    let listening = Listening { tty, stdin, stdout: stdout || tty, stderr, keys };
    let serve = move |wire: session::Wire| -> super::answer::Later<()> {
        Box::pin(async move {
            wire.head_is_read().await;
            match carry(wire, &session, listening).await {
                Some(exit) => ended(&service, &id, Some(exit.code)),
                // It goes on without its client, as with Docker.
                None => drop(tokio::spawn(to_its_end(service, id, session))),
            }
        })
    };
    Ok(Answer::Connection { tty, serve: Box::new(serve) })
}

/// It cannot be executed: as with Docker, a client that has asked to listen reads why, and finds the code of a shell.
fn not_started(service: &Service, id: &str, error: engine::Error, detach: bool, tty: bool) -> Result<Answer> {
    let code = match error {
        engine::Error::Start { kind: engine::Kind::NotFound, .. } => 127,
        _ => 126,
    };
    ended(service, id, Some(code));
    let said = match &error {
        engine::Error::Start { .. } if !detach => format!("{}\r\n", exit::links(&error)).into_bytes(),
        _ => return Err(error.into()),
    };
    let said = if tty { said } else { [&session::head(false, said.len())[..], &said].concat() };
    let serve = move |mut wire: session::Wire| -> super::answer::Later<()> {
        Box::pin(async move {
            wire.head_is_read().await;
            let _ = wire.send(&said).await;
        })
    };
    Ok(Answer::Connection { tty, serve: Box::new(serve) })
}

/// Takes what it writes until it has ended.
async fn to_its_end(service: Arc<Service>, id: String, session: Shared) {
    let busy = service.busy();
    let exit = session::ended(&session).await;
    ended(&service, &id, exit.map(|exit| exit.code));
    drop(busy);
}

fn ended(service: &Service, id: &str, code: Option<i32>) {
    let _ = service.execs.with(id, |exec| {
        exec.state = State::Ended(code);
        Ok(())
    });
}

/// `POST /exec/ID/resize`.
pub(super) fn resize(call: &mut Call) -> Result<Answer> {
    let (rows, columns) = attach::size(&call.query)?;
    call.service.execs.with(call.name(), |exec| match &exec.state {
        State::Running(session) => Ok(lock(session).resize(rows, columns)?),
        _ => Err(Refused(StatusCode::CONFLICT, format!("exec {}: it does not run", exec.id)).into()),
    })?;
    Ok(Answer::Empty(StatusCode::OK))
}

/// `GET /exec/ID/json`.
pub(super) fn inspect(call: &mut Call) -> Result<Answer> {
    document(call.service.execs.with(call.name(), |exec| Ok(shape(exec)))?)
}

fn shape(exec: &Exec) -> Value {
    let request = &exec.request;
    let (program, arguments) = request.cmd.split_first().map_or(("", &[][..]), |(program, rest)| (program.as_str(), rest));
    let (pid, code) = match &exec.state {
        State::Created => (None, None),
        State::Running(session) => (Some(lock(session).pid().unwrap_or(0)), None),
        State::Ended(code) => (None, *code),
    };
    json!({
        "ID": exec.id,
        "ContainerID": exec.container,
        "Running": pid.is_some(),
        "ExitCode": code,
        "CanRemove": code.is_some(),
        "OpenStdin": request.stdin,
        "OpenStdout": exec.listens[0],
        "OpenStderr": exec.listens[1],
        "DetachKeys": "",
        "Pid": pid.unwrap_or(0),
        "ProcessConfig": {
            "entrypoint": program, "arguments": arguments, "tty": request.tty, "privileged": request.privileged,
            "user": request.user.clone().unwrap_or_default(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exec(id: &str, state: State) -> Exec {
        let request = ExecRequest { cmd: vec!["ls".into(), "-l".into()], ..ExecRequest::default() };
        Exec { id: id.into(), container: "c".into(), request, listens: [true, false], keys: None, state }
    }

    #[test]
    fn bodies_are_read() {
        let asked = |text: &str| {
            serde_json::from_str::<Asked>(text).map_err(|error| error.to_string())?.request().map_err(|e| e.to_string())
        };
        let request =
            asked(r#"{"Cmd":["ls"],"Env":null,"User":"7","WorkingDir":"/x","AttachStdout":true,"ConsoleSize":[0,0],"New":1}"#);
        let expected =
            ExecRequest { cmd: vec!["ls".into()], user: Some("7".into()), workdir: Some("/x".into()), ..ExecRequest::default() };
        assert_eq!(request, Ok(expected));
        assert!(asked(r#"{"Cmd":[]}"#).unwrap_err().starts_with("Cmd: No exec command") && asked(r#"{"Cmd":"ls"}"#).is_err());
        assert!(asked(r#"{"Cmd":["ls"],"WorkingDir":"x"}"#).unwrap_err().starts_with("WorkingDir: "));
    }

    #[test]
    fn old_ones_are_forgotten() {
        let execs = Execs::default();
        for number in 0..2 * REMEMBERED {
            execs.add(exec(&number.to_string(), State::Ended(Some(3))));
        }
        assert_eq!(lock(&execs.0).1.len(), REMEMBERED);
        assert!(execs.with("0", |_| Ok(())).is_err());
        let shape = execs.with(&(2 * REMEMBERED - 1).to_string(), |exec| Ok(shape(exec))).unwrap();
        assert_eq!(
            (&shape["ExitCode"], &shape["Running"], &shape["ProcessConfig"]["arguments"]),
            (&json!(3), &json!(false), &json!(["-l"]))
        );
    }
}
