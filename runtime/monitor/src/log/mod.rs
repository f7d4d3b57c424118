//! A container's log: text lines as the Kubernetes CRI defines them, in files that are rotated by size.
//!
//! ```text
//! 2026-03-01T08:15:30.123456789Z stdout F a whole line
//! 2026-03-01T08:15:31.000000001Z stderr P a part, the line goes on in the next record of its stream
//!
//! CONTAINER/log/current      the newest records; only the monitor writes
//!               current.1    older ones, up to `max_files` in all
//! ```
//!
//! Or in a file elsewhere, `0.log` say, with the older ones beside it as `0.log.1` and so on, unless others rotate it by names of their own.
//! Or, for what collects such files, JSON objects as Docker's `json-file` has them; a reader tells one from the other by its first byte.
//!
//! Bytes are written down as they come, like conmon does and unlike Docker, which holds a line back until it is complete:
//! a prompt is seen at once, nothing is lost with the monitor, and the monitor keeps no line in memory. A line of more than
//! 16 KiB is cut into parts, too. Whoever joins the parts of a stream gets exactly the bytes that the container wrote.
//!
//! | module | what |
//! |---|---|
//! | `time` | RFC 3339 times with nanoseconds |
//! | `record` | bytes to records |
//! | `writer` | records to files, rotation |
//! | `journal` | records to systemd's journal instead |
//! | `lines` | bytes to lines again |
//! | `reader`, `tail` | the files oldest to newest, across rotations; the last lines |
//!
//! A reader that follows: [`Reader::open`], feed each [`Reader::read`] into [`Lines`]; at `None` wait for inotify on the
//! [`folder`] (`IN_MODIFY | IN_CREATE | IN_MOVED_TO`) and read on.

mod journal;
mod lines;
mod reader;
mod record;
mod tail;
mod time;
mod writer;

use std::ffi::{OsStr, OsString};
use std::path::Path;

use rustix::fs::unlink;
use rustix::io::Errno;
use sys::{Call, Result};

pub use lines::{Line, Lines};
pub use reader::{Reader, folder};
pub use record::MAX_PART;
pub use time::{format as format_time, parse as parse_time};
pub use writer::Writer;

/// The folder inside the container's folder.
pub const FOLDER: &str = "log";

/// The newest file in [`FOLDER`]; the next older one has `.1` behind its name, and so on.
pub const CURRENT: &str = "current";

/// Bytes read at a time.
const CHUNK: usize = 64 << 10;

/// The name of the file that was rotated `age` times, of a log whose newest file is `base`.
fn name(base: &OsStr, age: u32) -> OsString {
    let mut name = base.to_owned();
    if age > 0 {
        name.push(format!(".{age}"));
    }
    name
}

/// Removes the log in the file `path`, with the older ones beside it. What is not there is fine.
///
/// # Errors
/// Those of unlink(2).
pub fn remove(path: &Path) -> Result<()> {
    let base = path.file_name().unwrap_or_default();
    for age in 0.. {
        let file = path.with_file_name(name(base, age));
        match unlink(&file) {
            Err(Errno::NOENT) if age > 0 => break,
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno).call(|| format!("unlink({file:?})")),
        }
    }
    Ok(())
}
