//! Files of containers as archives: what `docker cp` and `docker export` ask for.

use std::io::{BufWriter, Write};
use std::sync::Arc;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::{CopyFrom, CopyOptions, CopyTo, PathStat};
use hyper::StatusCode;
use serde_json::json;

use super::answer::Answer;
use super::call::Call;
use super::refused::bad;
use crate::output::amount::rfc3339;

const TAR: &str = "application/x-tar";
/// Where the answer says what the path is.
const STAT: &str = "X-Docker-Container-Path-Stat";

fn path(call: &Call) -> Result<String> {
    Ok(call.query.get("path").ok_or_else(|| bad("path: a path is needed"))?.to_owned())
}

fn stat(call: &Call, path: &str) -> Result<String> {
    Ok(STANDARD.encode(shape(&call.service.engine.path_stat(call.name(), path)?).to_string()))
}

/// In the shape of Docker's API. Modes are Go's: its own bits for types, beside the permissions.
fn shape(stat: &PathStat) -> serde_json::Value {
    let (seconds, nanos) = stat.mtime;
    let time = u64::try_from(seconds).unwrap_or_default() * 1_000_000_000 + u64::from(nanos);
    json!({
        "name": stat.name.to_string_lossy(),
        "size": stat.size,
        "mode": go_mode(stat.mode),
        "mtime": rfc3339(time),
        "linkTarget": stat.link.as_ref().map(|link| link.to_string_lossy()).unwrap_or_default(),
    })
}

/// `os.FileMode` of Go's library.
fn go_mode(mode: u32) -> u32 {
    const TYPES: [(u32, u32); 6] = [
        (0o040_000, 1 << 31),
        (0o120_000, 1 << 27),
        (0o060_000, 1 << 26),
        (0o010_000, 1 << 25),
        (0o140_000, 1 << 24),
        (0o020_000, 1 << 26 | 1 << 21),
    ];
    const FLAGS: [(u32, u32); 3] = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];
    let kind = TYPES.iter().find(|(own, _)| mode & 0o170_000 == *own).map_or(0, |(_, go)| *go);
    FLAGS.iter().filter(|(own, _)| mode & own != 0).fold(kind | mode & 0o777, |all, (_, go)| all | go)
}

/// `HEAD /containers/NAME/archive`.
pub(super) fn head(call: &mut Call) -> Result<Answer> {
    let stat = stat(call, &path(call)?)?;
    Ok(Answer::Stream(TAR, vec![(STAT, stat)], Box::new(|_| Ok(()))))
}

/// `GET /containers/NAME/archive`.
pub(super) fn get(call: &mut Call) -> Result<Answer> {
    let path = path(call)?;
    let stat = stat(call, &path)?;
    let (service, name) = (Arc::clone(&call.service), call.name().to_owned());
    let write = move |out: &mut super::answer::Output| {
        let mut out = BufWriter::with_capacity(64 << 10, out);
        service.engine.copy(CopyFrom::Container(&name, &path), CopyTo::Archive(&mut out), CopyOptions::default())?;
        Ok(out.flush()?)
    };
    Ok(Answer::Stream(TAR, vec![(STAT, stat)], Box::new(write)))
}

/// `PUT /containers/NAME/archive`.
pub(super) fn put(call: &mut Call) -> Result<Answer> {
    let (path, name) = (path(call)?, call.name().to_owned());
    // That a file never takes a folder's place, nor a folder a file's, is always so.
    let options = CopyOptions { archive: call.query.is("copyUIDGID"), follow: false };
    let service = Arc::clone(&call.service);
    service.engine.copy(CopyFrom::Archive(&mut call.body), CopyTo::Container(&name, &path), options)?;
    Ok(Answer::Empty(StatusCode::OK))
}

/// `GET /containers/NAME/export`.
pub(super) fn export(call: &mut Call) -> Result<Answer> {
    let service = Arc::clone(&call.service);
    let id = service.engine.container(call.name())?.record.id;
    let write = move |out: &mut super::answer::Output| {
        let mut out = BufWriter::with_capacity(64 << 10, out);
        service.engine.export(&id, &mut out)?;
        Ok(out.flush()?)
    };
    Ok(Answer::Stream(TAR, Vec::new(), Box::new(write)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_those_of_go() {
        for (mode, go) in [
            (0o100_644, 0o644),
            (0o040_755, 1 << 31 | 0o755),
            (0o041_777, 1 << 31 | 1 << 20 | 0o777),
            (0o104_755, 1 << 23 | 0o755),
            (0o120_777, 1 << 27 | 0o777),
            (0o020_666, 1 << 26 | 1 << 21 | 0o666),
        ] {
            assert_eq!(go_mode(mode), go, "{mode:o}");
        }
    }
}
