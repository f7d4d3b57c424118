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
    #[serde(flatten)]
    parts: Option<&'a Fields<'a>>,
}

/// The parts of an error that are known.
#[derive(Serialize)]
struct Fields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    step: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errno: &'a Option<String>,
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
    pub(crate) fn error(&self, Failed { message, parts, .. }: &Failed) {
        if self.file.is_some() || self.json {
            let launch::Parts { step, call, path, errno } = &**parts;
            self.write("error", message, Some(&Fields { step, call, path, errno }));
        }
        if self.file.is_some() || !self.json {
            self.stderr(message);
        }
    }

    /// What the user should know.
    pub(crate) fn warn(&self, message: &str) {
        self.write("warning", message, None);
    }

    /// What happens, when it was asked for.
    pub(crate) fn debug(&self, message: impl FnOnce() -> String) {
        if self.debug {
            self.write("debug", &message(), None);
        }
    }

    fn stderr(&self, message: &str) {
        let _ = writeln!(std::io::stderr(), "{}: {message}", self.name);
    }

    /// A line is one write, so that two programs can share the file. What cannot be logged has nowhere else to go.
    fn write(&self, level: &str, message: &str, parts: Option<&Fields<'_>>) {
        let time = time::now();
        let line = match self.json {
            true => serde_json::to_string(&Line { level, msg: message, time: &time, parts }).unwrap_or_default() + "\n",
            false => format!("time=\"{time}\" level={level} msg={message:?}\n"),
        };
        let _ = match &self.file {
            Some(file) => (&*file).write_all(line.as_bytes()),
            None => std::io::stderr().write_all(line.as_bytes()),
        };
    }
}
