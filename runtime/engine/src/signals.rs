//! Signals as people write them.

use crate::Error;

pub use sys::signal::name;

/// A signal's number from `9`, `KILL`, `SIGKILL`, `sigkill`, `RTMIN+3` or `SIGRTMAX-1`.
///
/// # Errors
/// [`Error::BadSignal`] with the text.
pub fn parse(text: &str) -> Result<i32, Error> {
    sys::signal::number(text).ok_or_else(|| Error::BadSignal { text: text.to_owned() })
}
