//! What the daemon says of itself: lines on standard error, and what has fields to the journal, if standard error leads there.
//!
//! Only what has fields is a datagram. The journal finds out a datagram's unit by the process that sent it, which may be gone by then
//! (systemd's issue 2913): the last words of a daemon would be missing in `journalctl -u noded`. The unit of a stream is known from its
//! beginning.

use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use serde::Deserialize;

use super::journal::Journal;

/// How much something matters, by the numbers of syslog(3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    Error = 3,
    Warning = 4,
    Notice = 5,
    #[default]
    Info = 6,
    Debug = 7,
}

static LEAST: AtomicU8 = AtomicU8::new(Level::Info as u8);

/// From now on only what matters so much is said.
pub(crate) fn set_level(level: Level) {
    LEAST.store(level as u8, Ordering::Relaxed);
}

/// Whether somebody hears what matters so little.
pub(crate) fn hears(level: Level) -> bool {
    level as u8 <= LEAST.load(Ordering::Relaxed)
}

/// Says something, with what belongs to it. Names of fields are in capitals, as the journal has them.
pub(crate) fn say(level: Level, message: &str, fields: &[(&str, &str)]) {
    static JOURNAL: OnceLock<Option<Journal>> = OnceLock::new();
    if !hears(level) {
        return;
    }
    let journal = JOURNAL.get_or_init(Journal::behind_stderr).as_ref();
    if !fields.is_empty() && journal.is_some_and(|journal| journal.write(level as u8, message, fields).is_ok()) {
        return;
    }
    // Nobody can be told that nobody can be told.
    let _ = std::io::stderr().lock().write_all(line(journal.is_some(), level, message, fields).as_bytes());
}

/// One line, whatever the message has in it; for the journal with a priority in front (sd-daemon(3)).
fn line(journal: bool, level: Level, message: &str, fields: &[(&str, &str)]) -> String {
    let mut line = if journal { format!("<{}>", level as u8) } else { format!("noded: {}: ", level.word()) };
    let mut add = |text: &str| line.extend(text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }));
    add(message);
    for (name, value) in fields {
        add(&format!(" {name}={value}"));
    }
    line.push('\n');
    line
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Notice => "notice",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }
}

/// Says that something went wrong that nobody asked for.
pub(crate) fn failed(what: &str, error: &(dyn std::error::Error + 'static)) {
    say(Level::Warning, &format!("{what}: {}", super::chain(error)), &[]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_stays_one_line() {
        let fields = [("POD_ID", "7\n<0>forged")];
        assert_eq!(line(false, Level::Warning, "a\nb", &fields), "noded: warning: a b POD_ID=7 <0>forged\n");
        assert_eq!(line(true, Level::Info, "a", &[]), "<6>a\n");
    }
}
