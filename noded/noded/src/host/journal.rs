//! The journal's own protocol (systemd's "Native Journal Protocol"): one datagram an entry, with fields.

use std::os::linux::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;

/// Where the journal listens.
const SOCKET: &str = "/run/systemd/journal/socket";

/// A connection to the journal.
#[derive(Debug)]
pub(crate) struct Journal(UnixDatagram);

impl Journal {
    /// The journal, if it is what standard error is connected to: `JOURNAL_STREAM` (systemd.exec(5)) has its device and inode.
    pub(crate) fn behind_stderr() -> Option<Journal> {
        let stream = std::env::var("JOURNAL_STREAM").ok()?;
        let stderr = std::fs::metadata("/proc/self/fd/2").ok()?;
        if stream != format!("{}:{}", stderr.st_dev(), stderr.st_ino()) {
            return None;
        }
        let socket = UnixDatagram::unbound().ok()?;
        socket.connect(SOCKET).ok()?;
        Some(Journal(socket))
    }

    /// Writes an entry. An entry that is too long for a datagram is refused.
    pub(crate) fn write(&self, priority: u8, message: &str, fields: &[(&str, &str)]) -> std::io::Result<()> {
        self.0.send(&entry(priority, message, fields)).map(drop)
    }
}

/// An entry as it is sent. Fields that are no names of the journal's are left out: a client's text must not become one.
fn entry(priority: u8, message: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let priority = priority.to_string();
    let own = [("PRIORITY", priority.as_str()), ("SYSLOG_IDENTIFIER", "noded"), ("MESSAGE", message)];
    let mut bytes = Vec::new();
    for (name, value) in own.iter().chain(fields).filter(|(name, _)| is_name(name)) {
        bytes.extend_from_slice(name.as_bytes());
        if value.contains('\n') {
            bytes.push(b'\n');
            bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
        } else {
            bytes.push(b'=');
        }
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(b'\n');
    }
    bytes
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_' || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_do_not_become_fields() {
        let bytes = entry(4, "one", &[("POD_ID", "7"), ("TEXT", "a\nPRIORITY=0"), ("not a name", "x")]);
        let mut expected = b"PRIORITY=4\nSYSLOG_IDENTIFIER=noded\nMESSAGE=one\nPOD_ID=7\nTEXT\n".to_vec();
        expected.extend_from_slice(&12u64.to_le_bytes());
        expected.extend_from_slice(b"a\nPRIORITY=0\n");
        assert_eq!(bytes, expected);
    }
}
