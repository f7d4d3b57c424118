//! Giving a new user namespace its ids.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::{program, ranges};

/// What a user may map, decided before anything is made.
#[derive(Debug)]
pub(super) struct Ids {
    uids: Vec<[u32; 3]>,
    gids: Vec<[u32; 3]>,
    /// Why there is no more than the user's own id, if there is not.
    pub(super) only_own: Option<String>,
}

impl Ids {
    /// Reads the ranges of the calling user.
    ///
    /// # Errors
    /// There is a file that cannot be read.
    pub(super) fn of_caller() -> Result<Ids> {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let passwd = read("/etc/passwd")?;
        let name = ranges::name_of(&passwd, uid);
        let of = |file: &str| anyhow::Ok(ranges::of_user(&read(file)?, name, uid));
        let (mut uids, mut gids) = (of("/etc/subuid")?, of("/etc/subgid")?);
        let who = name.map_or_else(|| uid.to_string(), str::to_owned);
        let missing: Vec<_> = [("/etc/subuid", uids.is_empty()), ("/etc/subgid", gids.is_empty())].into_iter().collect();
        let missing: Vec<&str> = missing.into_iter().filter_map(|(file, is)| is.then_some(file)).collect();
        let only_own = (!missing.is_empty()).then(|| {
            (uids, gids) = (Vec::new(), Vec::new());
            format!("no ids for {who} in {}: add a line like {who}:100000:65536", missing.join(" and "))
        });
        Ok(Ids { uids: ranges::plan(uid, &uids), gids: ranges::plan(gid, &gids), only_own })
    }

    /// Gives them to the user namespace of the process `pid`, a child whose namespace has none yet.
    ///
    /// # Errors
    /// The programs that may do so are missing, or refuse.
    pub(super) fn give(&self, pid: u32) -> Result<()> {
        if self.only_own.is_some() {
            // A user may map itself, and no groups may be dropped by it (user_namespaces(7)).
            for (file, text) in
                [("setgroups", "deny".to_owned()), ("uid_map", ranges::text(&self.uids)), ("gid_map", ranges::text(&self.gids))]
            {
                let path = format!("/proc/{pid}/{file}");
                std::fs::write(&path, text).with_context(|| format!("write {path}"))?;
            }
            return Ok(());
        }
        with("newuidmap", pid, &self.uids)?;
        with("newgidmap", pid, &self.gids)
    }
}

fn read(file: &str) -> Result<String> {
    match std::fs::read(Path::new(file)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        text => Ok(String::from_utf8_lossy(&text.with_context(|| format!("read {file}"))?).into_owned()),
    }
}

/// A program with the right to map others' ids, which checks what is asked against the same files (newuidmap(1)).
fn with(name: &str, pid: u32, plan: &[[u32; 3]]) -> Result<()> {
    let Some(path) = program(name) else {
        bail!(
            "{name} is not installed, without which a user has no ids to give to containers: install the package uidmap (shadow-utils)"
        );
    };
    let numbers = std::iter::once(pid).chain(plan.iter().flatten().copied()).map(|number| number.to_string());
    let mut command = Command::new(&path);
    command.args(numbers).env_clear().current_dir("/").stdin(Stdio::null());
    let output = command.output().with_context(|| format!("execute {}", path.display()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    bail!("{}: {} (it has to be setuid root, or have the file capability)", path.display(), said.trim())
}
