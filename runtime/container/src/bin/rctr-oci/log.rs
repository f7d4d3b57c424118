//! The log that callers ask for: one line a message, as logrus writes it for runc.

use std::fs::{File, OpenOptions};
use std::io::Write;

use serde::Serialize;

use crate::error::{Doing, Failed, Result};
use crate::time;

/// Where messages go.
#[derive(Debug, Default)]
pub(crate) struct Log {
    file: Option<File>,
    json: bool,
    debug: bool,
    name: String,
}

/// A line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    level: &'a str,
    msg: &'a str,
    time: &'a str,
}

impl Log {
    /// A log for a program called `name`. Without a file, messages go to standard error.
    pub(crate) fn open(name: &str, path: Option<&str>, format: Option<&str>, debug: bool) -> Result<Log> {
        let json = match format.unwrap_or("text") {
            "text" => false,
            "json" => true,
            other => return Err(Failed::new(format!("unknown log-format {other:?}: it is text or json"))),
        };
        let open = |path: &str| OpenOptions::new().append(true).create(true).open(path).doing(|| format!("open the log {path:?}"));
        let file = path.filter(|path| !path.is_empty() && *path != "/dev/stderr").map(open).transpose()?;
        Ok(Log { file, json, debug, name: name.to_owned() })
    }

    /// The end: in the log, and for whoever looks at standard error.
    pub(crate) fn error(&self, message: &str) {
        if self.file.is_some() {
            self.write("error", message);
            self.stderr(message);
        } else if self.json {
            self.write("error", message);
        } else {
            self.stderr(message);
        }
    }

    /// What the user should know.
    pub(crate) fn warn(&self, message: &str) {
        self.write("warning", message);
    }

    /// What happens, when it was asked for.
    pub(crate) fn debug(&self, message: impl FnOnce() -> String) {
        if self.debug {
            self.write("debug", &message());
        }
    }

    fn stderr(&self, message: &str) {
        let _ = writeln!(std::io::stderr(), "{}: {message}", self.name);
    }

    /// A line is one write, so that two programs can share the file. What cannot be logged has nowhere else to go.
    fn write(&self, level: &str, message: &str) {
        let time = time::now();
        let line = match self.json {
            true => serde_json::to_string(&Line { level, msg: message, time: &time }).unwrap_or_default() + "\n",
            false => format!("time=\"{time}\" level={level} msg={message:?}\n"),
        };
        let _ = match &self.file {
            Some(file) => (&*file).write_all(line.as_bytes()),
            None => std::io::stderr().write_all(line.as_bytes()),
        };
    }
}
