//! ExecSync, and the addresses of streams: Exec, Attach and PortForward.

use std::time::Duration;

use cri::{
    AttachRequest, AttachResponse, ExecRequest, ExecResponse, ExecSyncRequest, ExecSyncResponse, PortForwardRequest,
    PortForwardResponse,
};
use engine::{Error, Kind};
use streaming::{Job, Streams};
use tonic::{Code, Status};

use super::container::Member;
use super::{OUTPUT, container, pod};
use crate::cri::{Answer, status as code, status::invalid};
use crate::host::chain;
use crate::node::Node;

/// Runs a program to its end. Its exit code is no error; that it takes too long is one, by which the kubelet tells a probe's timeout.
pub(in crate::cri) fn sync(node: &Node, request: ExecSyncRequest) -> Answer<ExecSyncResponse> {
    let seconds = u64::try_from(request.timeout).map_err(|_| invalid(format_args!("timeout: {} is negative", request.timeout)))?;
    let timeout = Some(Duration::from_secs(seconds)).filter(|timeout| !timeout.is_zero());
    let member = running(node, &request.container_id)?;
    let exec = engine::ExecRequest { cmd: command(request.cmd)?, ..engine::ExecRequest::default() };
    match node.engine().exec_sync(member.id(), &exec, timeout, OUTPUT) {
        Ok(output) => Ok(ExecSyncResponse { stdout: output.stdout, stderr: output.stderr, exit_code: output.code }),
        Err(error @ Error::Start { kind: Kind::NotFound | Kind::NotExecutable, .. }) => {
            Err(Status::new(Code::InvalidArgument, chain(&error)))
        }
        Err(error) => Err(code::of(&error)),
    }
}

/// Where a program is run with streams.
pub(in crate::cri) fn exec(node: &Node, request: ExecRequest) -> Answer<ExecResponse> {
    Ok(ExecResponse { url: address(node, exec_job(node, request)?)? })
}

/// What is to be done for an exec.
pub(in crate::cri) fn exec_job(node: &Node, request: ExecRequest) -> Answer<Job> {
    let ExecRequest { container_id, cmd, tty, stdin, stdout, stderr } = request;
    let streams = streams(Streams { stdin, stdout, stderr, tty })?;
    let command = command(cmd)?;
    let container = running(node, &container_id)?.id().to_owned();
    Ok(Job::Exec { container, command, streams })
}

/// Where a container's own streams are.
pub(in crate::cri) fn attach(node: &Node, request: AttachRequest) -> Answer<AttachResponse> {
    Ok(AttachResponse { url: address(node, attach_job(node, request)?)? })
}

/// What is to be done for an attach.
pub(in crate::cri) fn attach_job(node: &Node, request: AttachRequest) -> Answer<Job> {
    let AttachRequest { container_id, stdin, tty, stdout, stderr } = request;
    let streams = streams(Streams { stdin, stdout, stderr, tty })?;
    let member = running(node, &container_id)?;
    if tty != member.container.record.tty {
        let has = if tty { "has no" } else { "has a" };
        return Err(invalid(format_args!("tty: container {:.12} {has} terminal", member.id())));
    }
    Ok(Job::Attach { container: member.id().to_owned(), streams })
}

/// Where ports of a pod are.
pub(in crate::cri) fn forward(node: &Node, request: PortForwardRequest) -> Answer<PortForwardResponse> {
    Ok(PortForwardResponse { url: address(node, forward_job(node, &request)?)? })
}

/// What is to be done for a port-forward.
pub(in crate::cri) fn forward_job(node: &Node, request: &PortForwardRequest) -> Answer<Job> {
    let number = |port: &i32| u16::try_from(*port).ok().filter(|port| *port != 0);
    let ports =
        request.port.iter().map(|port| number(port).ok_or_else(|| invalid(format_args!("port: {port} is not from 1 to 65535"))));
    let ports = ports.collect::<Answer<Vec<u16>>>()?;
    let pod = pod::find(node, &request.pod_sandbox_id)?;
    if !pod.ready {
        return Err(Status::failed_precondition(format!("pod {:.12} is not ready", pod.record.id)));
    }
    Ok(Job::Forward { pod: pod.record.id, ports })
}

fn address(node: &Node, job: Job) -> Answer<String> {
    node.jobs.address(job).map_err(|full| Status::resource_exhausted(full.to_string()))
}

fn running(node: &Node, id: &str) -> Answer<Member> {
    let member = container::find(node, id)?;
    match member.container.is_running() {
        true => Ok(member),
        false => Err(Status::failed_precondition(format!("container {:.12} is not running", member.id()))),
    }
}

fn command(words: Vec<String>) -> Answer<Vec<String>> {
    match words.first() {
        None => Err(invalid("cmd: it is empty")),
        Some(_) if words.iter().any(|word| word.contains('\0')) => Err(invalid("cmd: a word has a NUL in it")),
        Some(_) => Ok(words),
    }
}

/// With a terminal both outputs are one.
fn streams(streams: Streams) -> Answer<Streams> {
    match streams {
        Streams { tty: true, stderr: true, .. } => Err(invalid("tty and stderr exclude each other: a terminal has one output")),
        Streams { stdin: false, stdout: false, stderr: false, .. } => Err(invalid("one of stdin, stdout and stderr has to be set")),
        streams => Ok(streams),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_make_sense() {
        let of = |stdin, stdout, stderr, tty| streams(Streams { stdin, stdout, stderr, tty }).is_ok();
        assert!(of(true, false, false, true) && of(false, true, true, false));
        assert!(!of(false, true, true, true) && !of(false, false, false, false) && !of(false, false, false, true));
    }

    #[test]
    fn commands_have_a_word() {
        assert!(command(vec!["sh".to_owned()]).is_ok());
        assert!(command(Vec::new()).is_err() && command(vec!["a\0b".to_owned()]).is_err());
    }
}
