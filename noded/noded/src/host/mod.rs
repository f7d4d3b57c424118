//! Where the daemon meets the host: sockets, systemd, the journal.

pub(crate) mod journal;
pub(crate) mod listen;
pub(crate) mod log;
pub(crate) mod notify;

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
