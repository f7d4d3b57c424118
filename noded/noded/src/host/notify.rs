//! What systemd is told (sd_notify(3)): words over a datagram socket. Without systemd nobody is told.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Whoever listens.
#[derive(Debug)]
pub(crate) struct Notify {
    to: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notify {
    /// The socket and the wish for signs of life that the environment names.
    pub(crate) fn from_environment() -> Notify {
        let address = std::env::var_os("NOTIFY_SOCKET").and_then(|name| address(name.as_bytes()));
        let to = address.and_then(|address| Some((UnixDatagram::unbound().ok()?, address)));
        let variable = |name| std::env::var(name).ok();
        let own = std::process::id();
        let watchdog = watchdog(variable("WATCHDOG_USEC").as_deref(), variable("WATCHDOG_PID").as_deref(), own);
        Notify { watchdog: watchdog.filter(|_| to.is_some()), to }
    }

    /// How often to say [`Notify::alive`]: twice in the time after which the daemon is taken for dead.
    pub(crate) fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Calls are answered from now on.
    pub(crate) fn ready(&self, status: &str) {
        self.say(&format!("READY=1\nSTATUS={status}"));
    }

    /// The configuration is being read again; [`Notify::ready`] follows.
    pub(crate) fn reloading(&self) {
        self.say("RELOADING=1");
    }

    /// No more calls are taken.
    pub(crate) fn stopping(&self) {
        self.say("STOPPING=1");
    }

    /// A sign of life.
    pub(crate) fn alive(&self) {
        self.say("WATCHDOG=1");
    }

    fn say(&self, text: &str) {
        if let Some((socket, address)) = &self.to {
            // A manager that does not listen is no reason to stop.
            let _ = socket.send_to_addr(text.as_bytes(), address);
        }
    }
}

/// A path, or with an `@` in front a name in the abstract namespace.
fn address(name: &[u8]) -> Option<SocketAddr> {
    match name {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest).ok(),
        [b'/', ..] => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name)).ok(),
        _ => None,
    }
}

/// Half the time that systemd gives, if it is us to whom it gives it (sd_watchdog_enabled(3)).
fn watchdog(micros: Option<&str>, pid: Option<&str>, own: u32) -> Option<Duration> {
    let ours = pid.is_none_or(|pid| pid.parse() == Ok(own));
    let micros: u64 = micros?.parse().ok().filter(|micros| *micros > 0)?;
    ours.then(|| Duration::from_micros(micros / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_of_life_come_twice_in_time() {
        assert_eq!(watchdog(Some("30000000"), Some("7"), 7), Some(Duration::from_secs(15)));
        assert_eq!(watchdog(Some("30000000"), None, 7), Some(Duration::from_secs(15)));
        assert_eq!(watchdog(Some("30000000"), Some("8"), 7), None);
        assert_eq!(watchdog(Some("0"), None, 7), None);
        assert_eq!(watchdog(None, None, 7), None);
    }

    #[test]
    fn words_arrive() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let to = Some((UnixDatagram::unbound().unwrap(), address(path.as_os_str().as_bytes()).unwrap()));
        let notify = Notify { to, watchdog: None };
        let heard = || {
            let mut buffer = [0; 256];
            let length = manager.recv(&mut buffer).unwrap();
            String::from_utf8_lossy(&buffer[..length]).into_owned()
        };
        notify.ready("serving");
        assert_eq!(heard(), "READY=1\nSTATUS=serving");
        notify.reloading();
        assert_eq!(heard(), "RELOADING=1");
        assert!(address(b"relative").is_none() && address(b"@abstract").is_some());
    }
}
