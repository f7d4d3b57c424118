//! Where the daemon meets the host: sockets, systemd, the journal.

pub(crate) mod journal;
pub(crate) mod limits;
pub(crate) mod listen;
pub(crate) mod log;
pub(crate) mod logind;
pub(crate) mod memory;
pub(crate) mod notify;
pub(crate) mod retry;

/// An error with all its causes on one line, each said once.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut links: Vec<String> = Vec::new();
    for link in std::iter::successors(Some(error), |error| error.source()) {
        let text = link.to_string().trim_end().replace('\n', " ");
        // A transparent wrapper says the same as what it wraps.
        if links.last() != Some(&text) {
            links.push(text);
        }
    }
    links.join(": ")
}

/// A descriptor whose owner has it for life, to be waited for.
#[expect(
    deprecated,
    reason = "for types that may close their descriptor behind tokio's back: these have one for life, and the other way is unsafe"
)]
pub(crate) fn readable<T: std::os::fd::AsRawFd>(inner: T) -> std::io::Result<tokio::io::unix::AsyncFd<T>> {
    tokio::io::unix::AsyncFd::with_interest(inner, tokio::io::Interest::READABLE)
}

#[cfg(test)]
mod tests {
    /// The value of a key in a unit file.
    fn value<'a>(unit: &'a str, key: &str) -> Option<&'a str> {
        unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
    }

    #[test]
    fn the_service_lets_containers_live() {
        let service = include_str!("../../systemd/noded.service");
        for (key, expected) in [
            ("Type", "notify"),
            ("KillMode", "process"),
            ("Delegate", "yes"),
            ("Restart", "always"),
            ("Requires", "noded.socket"),
            ("ExecStart", "/usr/bin/noded run"),
        ] {
            assert_eq!(value(service, key), Some(expected), "{key}");
        }
        assert!(value(service, "WatchdogSec").is_some() && value(service, "ExecReload").is_some());
        // Namespaces of pods are pinned by mounts that whoever starts containers has to see.
        for key in ["PrivateMounts", "PrivateTmp", "ProtectSystem", "ProtectHome", "MountFlags"] {
            assert_eq!(value(service, key), None, "{key}");
        }
    }

    #[test]
    fn the_socket_is_where_the_daemon_expects_it() {
        let socket = include_str!("../../systemd/noded.socket");
        let own = crate::config::Config::default().cri.socket;
        assert_eq!(value(socket, "ListenStream"), own.to_str());
        assert_eq!((value(socket, "SocketMode"), value(socket, "DirectoryMode")), (Some("0660"), Some("0700")));
    }
}
