//! Running one plugin.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use super::Cni;
use super::call::Verb;
use crate::Error;

/// Bytes of an answer, and of what is said beside it.
const ROOM: usize = 1 << 20;

/// Where plugins find programs of the host, such as iptables.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The program of a plugin: the first one of its name.
pub(super) fn program(cni: &Cni, name: &str) -> Result<PathBuf, Error> {
    let runs = |path: &PathBuf| path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0);
    let found = cni.programs.iter().map(|folder| folder.join(name)).find(runs);
    found.ok_or_else(|| {
        let folders: Vec<_> = cni.programs.iter().map(|folder| folder.display().to_string()).collect();
        Error::Cni { what: format!("plugin {name}"), why: format!("there is no such program in {}", folders.join(", ")) }
    })
}

/// Gives `input` to a plugin, and answers what it has said. One that takes longer than it may is killed with all that it has begun.
pub(super) fn run(cni: &Cni, name: &str, verb: Verb, environment: &[(&str, String)], input: &str) -> Result<Vec<u8>, Error> {
    let failed = |why: String| Error::Cni { what: format!("plugin {name}: {}", verb.word()), why };
    let program = program(cni, name)?;
    let folders: Vec<_> = cni.programs.iter().map(|folder| folder.display().to_string()).collect();
    // Files and no pipes: neither much text nor a program that is left behind keeps us waiting.
    let files = || -> std::io::Result<_> { Ok((filled(input)?, empty()?, empty()?)) };
    let (stdin, stdout, stderr) = files().map_err(|error| failed(error.to_string()))?;
    let spawn = || -> std::io::Result<_> {
        let mut command = Command::new(&program);
        command.env_clear().env("PATH", PATH).env("CNI_COMMAND", verb.word()).env("CNI_PATH", folders.join(":"));
        command.envs(environment.iter().map(|(key, value)| (key, value))).current_dir("/").process_group(0);
        command.stdin(stdin).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?).spawn()
    };
    let mut child = spawn().map_err(|error| failed(format!("run {}: {error}", program.display())))?;
    let ended = sys::process::ends_within(&child, cni.patience).map_err(|error| failed(error.to_string()));
    if !matches!(ended, Ok(true)) {
        if let Some(group) = Pid::from_raw(child.id() as i32) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = child.wait();
        ended?;
        return Err(failed(format!("it has not ended within {} s, and was killed", cni.patience.as_secs())));
    }
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    let answer = said(&stdout);
    if status.success() {
        return Ok(answer);
    }
    Err(failed(reason(&answer, &said(&stderr)).unwrap_or_else(|| format!("{status}, without a word"))))
}

/// What a plugin says of its failure: by the protocol, or else in its own words.
fn reason(answer: &[u8], beside: &[u8]) -> Option<String> {
    let told: Option<Value> = serde_json::from_slice(answer).ok();
    let part = |key: &str| told.as_ref()?.get(key)?.as_str().filter(|text| !text.is_empty());
    let by_protocol = part("msg").map(|msg| match part("details") {
        Some(details) => format!("{msg}: {details}"),
        None => msg.to_owned(),
    });
    let words = [beside, answer].map(|text| String::from_utf8_lossy(text).trim().chars().take(1000).collect::<String>());
    let text = by_protocol.or_else(|| words.into_iter().find(|words| !words.is_empty()))?;
    Some(text.replace(['\n', '\r'], " "))
}

fn filled(text: &str) -> std::io::Result<File> {
    let mut file = File::from(memfd_create("cni", MemfdFlags::CLOEXEC)?);
    file.write_all(text.as_bytes())?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

/// A file that takes [`ROOM`] and no more: what goes beyond is refused to who writes it.
fn empty() -> std::io::Result<File> {
    let file = File::from(memfd_create("cni", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    file.set_len(ROOM as u64)?;
    fcntl_add_seals(&file, SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(file)
}

/// What was written to it: text has no byte 0.
fn said(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; ROOM];
    let length = file.read_at(&mut bytes, 0).unwrap_or(0);
    bytes.truncate(bytes[..length].iter().position(|byte| *byte == 0).unwrap_or(length));
    bytes
}
