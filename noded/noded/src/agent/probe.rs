//! Probes: a task for each container that has some, from its start to its end.

use std::sync::Arc;
use std::time::Duration;

use api::kinds::pod::container::{Container, HttpGetAction, Probe};
use api::values::IntOrString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;

use crate::cri::local;
use crate::node::Node;

/// What a probe has found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    Started,
    Ready(bool),
    /// The container has to be started again: why, and how long it may take to end.
    Failed(String, Option<i64>),
}

/// Whom to probe.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) node: Arc<Node>,
    pub(super) id: String,
    pub(super) spec: Container,
    pub(super) ip: String,
}

/// Whether a container has any.
pub(super) fn has_any(spec: &Container) -> bool {
    spec.startup_probe.is_some() || spec.liveness_probe.is_some() || spec.readiness_probe.is_some()
}

/// What of a container's probes cannot be done here.
pub(super) fn unsupported(spec: &Container) -> Option<String> {
    let all = [&spec.startup_probe, &spec.liveness_probe, &spec.readiness_probe];
    let all = || all.iter().filter_map(|probe| probe.as_ref());
    if all().any(|probe| probe.grpc.is_some()) {
        return Some("probes by gRPC are not supported on this node".to_owned());
    }
    let https = all().filter_map(|probe| probe.http_get.as_ref()).any(|get| get.scheme == "HTTPS");
    https.then(|| "probes by HTTPS are not supported on this node".to_owned())
}

/// Probes for as long as it is not dropped.
pub(super) async fn run(target: Target, found: UnboundedSender<(String, Finding)>) {
    let say = |finding| found.send((target.id.clone(), finding));
    if let Some(probe) = &target.spec.startup_probe {
        let (passed, why) = verdict(&target, probe, &mut Count::default()).await;
        if !passed {
            let _ = say(Finding::Failed(format!("Startup probe failed: {why}"), probe.termination_grace_period_seconds));
            return;
        }
        let _ = say(Finding::Started);
    }
    let alive = async {
        let Some(probe) = &target.spec.liveness_probe else { return };
        let mut count = Count::default();
        loop {
            let (passed, why) = verdict(&target, probe, &mut count).await;
            if !passed {
                let _ = say(Finding::Failed(format!("Liveness probe failed: {why}"), probe.termination_grace_period_seconds));
                return;
            }
        }
    };
    let ready = async {
        let Some(probe) = &target.spec.readiness_probe else { return };
        let (mut count, mut last) = (Count::default(), None);
        loop {
            let (passed, _) = verdict(&target, probe, &mut count).await;
            if last != Some(passed) && say(Finding::Ready(passed)).is_err() {
                return;
            }
            last = Some(passed);
        }
    };
    tokio::join!(alive, ready);
}

/// Results in a row.
#[derive(Debug, Default)]
struct Count {
    begun: bool,
    passed: i32,
    failed: i32,
}

impl Count {
    /// What so many results in a row mean, if they mean something already.
    fn add(&mut self, passed: bool, probe: &Probe) -> Option<bool> {
        match passed {
            true => (self.passed, self.failed) = (self.passed.saturating_add(1), 0),
            false => (self.passed, self.failed) = (0, self.failed.saturating_add(1)),
        }
        let enough = |threshold: i32, default: i32| if threshold > 0 { threshold } else { default };
        match passed {
            true => (self.passed >= enough(probe.success_threshold, 1)).then_some(true),
            false => (self.failed >= enough(probe.failure_threshold, 3)).then_some(false),
        }
    }
}

/// Probes until it is clear whether it passes or fails.
async fn verdict(target: &Target, probe: &Probe, count: &mut Count) -> (bool, String) {
    let seconds = |number: i32, least: u64| Duration::from_secs(u64::try_from(number).unwrap_or(0).max(least));
    loop {
        let pause = if count.begun { seconds(probe.period_seconds, 1) } else { seconds(probe.initial_delay_seconds, 0) };
        count.begun = true;
        tokio::time::sleep(pause).await;
        let timeout = seconds(probe.timeout_seconds, 1);
        let result = match tokio::time::timeout(timeout, once(target, probe, timeout)).await {
            Ok(result) => result,
            Err(_) => Err(format!("no answer within {} s", timeout.as_secs())),
        };
        let passed = result.is_ok();
        if let Some(verdict) = count.add(passed, probe) {
            return (verdict, result.err().unwrap_or_default());
        }
    }
}

/// Probes once.
async fn once(target: &Target, probe: &Probe, timeout: Duration) -> Result<(), String> {
    if let Some(exec) = &probe.exec {
        let seconds = i64::try_from(timeout.as_secs()).unwrap_or(1);
        let answer = local::exec(&target.node, &target.id, exec.command.clone(), seconds).await;
        let answer = answer.map_err(|status| status.message().to_owned())?;
        let said = String::from_utf8_lossy(if answer.stdout.is_empty() { &answer.stderr } else { &answer.stdout }).into_owned();
        return if answer.exit_code == 0 { Ok(()) } else { Err(format!("exit code {}: {said:.500}", answer.exit_code)) };
    }
    if let Some(get) = &probe.http_get {
        return http(get, &target.spec, &target.ip).await;
    }
    if let Some(tcp) = &probe.tcp_socket {
        let host = if tcp.host.is_empty() { &target.ip } else { &tcp.host };
        return connect(host, port(tcp.port.as_ref(), &target.spec)?).await.map(drop);
    }
    Ok(())
}

/// A port by its number or its name in the container.
fn port(port: Option<&IntOrString>, spec: &Container) -> Result<u16, String> {
    let number = match port {
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::Text(name)) => {
            let named = spec.ports.iter().find(|port| port.name == *name).map(|port| port.container_port);
            named.or_else(|| name.parse().ok())
        }
        None => None,
    };
    let number = number.and_then(|number| u16::try_from(number).ok()).filter(|number| *number != 0);
    number.ok_or_else(|| format!("{port:?} is no port of the container"))
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    TcpStream::connect((host, port)).await.map_err(|error| format!("dial {host}:{port}: {error}"))
}

/// A request by HTTP; what is answered with 200 to 399 passes.
pub(super) async fn http(get: &HttpGetAction, spec: &Container, ip: &str) -> Result<(), String> {
    let host = if get.host.is_empty() { ip } else { &get.host };
    let port = port(get.port.as_ref(), spec)?;
    let mut stream = connect(host, port).await?;
    let said = |error: std::io::Error| format!("ask {host}:{port}: {error}");
    stream.write_all(request(get, host, port)?.as_bytes()).await.map_err(said)?;
    let mut answer = Vec::new();
    let mut piece = [0; 512];
    while !answer.contains(&b'\n') && answer.len() < 4096 {
        match stream.read(&mut piece).await.map_err(said)? {
            0 => break,
            length => answer.extend_from_slice(&piece[..length]),
        }
    }
    match code(&answer) {
        Some(200..=399) => Ok(()),
        Some(code) => Err(format!("HTTP probe failed with statuscode: {code}")),
        None => Err("the answer is no HTTP".to_owned()),
    }
}

fn request(get: &HttpGetAction, host: &str, port: u16) -> Result<String, String> {
    let own = |name: &str| get.http_headers.iter().any(|header| header.name.eq_ignore_ascii_case(name));
    let path = if get.path.starts_with('/') { get.path.clone() } else { format!("/{}", get.path) };
    let mut lines = vec![format!("GET {path} HTTP/1.1")];
    for (name, value) in
        [("Host", format!("{host}:{port}")), ("User-Agent", "kube-probe/noded".to_owned()), ("Accept", "*/*".to_owned())]
    {
        if !own(name) {
            lines.push(format!("{name}: {value}"));
        }
    }
    lines.extend(get.http_headers.iter().map(|header| format!("{}: {}", header.name, header.value)));
    lines.push("Connection: close".to_owned());
    // A line more would be another request.
    if lines.iter().any(|line| line.chars().any(char::is_control)) || path.contains(' ') {
        return Err("path and headers need to be on one line each".to_owned());
    }
    Ok(lines.join("\r\n") + "\r\n\r\n")
}

/// The code in `HTTP/1.1 200 OK`.
fn code(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?.strip_prefix("HTTP/1.")?;
    line.split(' ').nth(1)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_in_a_row_count() {
        let probe = Probe { failure_threshold: 2, success_threshold: 2, ..Probe::default() };
        let mut count = Count::default();
        let verdicts = [true, false, true, true, false, true, false, false].map(|passed| count.add(passed, &probe));
        assert_eq!(verdicts, [None, None, None, Some(true), None, None, None, Some(false)]);
    }

    #[test]
    fn requests_stay_one() {
        let get = |path: &str| HttpGetAction { path: path.to_owned(), ..HttpGetAction::default() };
        assert!(request(&get("healthz"), "h", 80).unwrap().starts_with("GET /healthz HTTP/1.1\r\nHost: h:80\r\n"));
        assert!(request(&get("/a\r\nX: y"), "h", 80).is_err() && request(&get("/a b"), "h", 80).is_err());
        assert_eq!((code(b"HTTP/1.1 204 No Content\r\n"), code(b"SSH-2.0"), code(b"")), (Some(204), None, None));
    }

    #[test]
    fn ports_have_numbers_or_names() {
        let ports =
            vec![api::kinds::pod::container::ContainerPort { name: "web".to_owned(), container_port: 8080, ..Default::default() }];
        let spec = Container { ports, ..Container::default() };
        assert_eq!(port(Some(&IntOrString::Text("web".to_owned())), &spec), Ok(8080));
        assert_eq!(port(Some(&IntOrString::Int(7)), &spec), Ok(7));
        assert!(port(Some(&IntOrString::Text("no".to_owned())), &spec).is_err() && port(None, &spec).is_err());
    }
}
