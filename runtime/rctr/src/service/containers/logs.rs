//! `GET /containers/NAME/logs`.

use std::io::Write as _;

use anyhow::Result;
use engine::{LogOptions, Nanos, Stream};

use super::super::answer::{Answer, Output};
use super::super::call::Call;
use super::super::refused::bad;
use super::super::session::head;
use crate::output::amount;
use crate::parse;
use crate::verbs::logs::details;

/// Which lines, and what stands before each.
struct Wanted {
    options: LogOptions,
    stdout: bool,
    stderr: bool,
    timestamps: bool,
    details: Option<String>,
    tty: bool,
}

/// Streams what it has written, and with `follow` what it writes.
pub(in super::super) fn logs(call: &mut Call) -> Result<Answer> {
    let (query, engine) = (&call.query, &call.service.engine);
    let record = engine.container(call.name())?.record;
    let moment = |key: &str| -> Result<Option<Nanos>> { Ok(query.parsed(key, parse::moment)?.filter(|time| *time > 0)) };
    let tail = query.parsed("tail", |text| match text {
        "all" | "-1" => Ok(None),
        text => text.parse().map(Some).map_err(|_| format!("{text:?} is no number of lines")),
    })?;
    let wanted = Wanted {
        options: LogOptions { follow: query.is("follow"), tail: tail.flatten(), since: moment("since")?, until: moment("until")? },
        stdout: query.is("stdout"),
        stderr: query.is("stderr"),
        timestamps: query.is("timestamps"),
        details: if query.is("details") { Some(details(&engine.log_notes(&record.id)?)) } else { None },
        tty: record.tty,
    };
    if !wanted.stdout && !wanted.stderr {
        return Err(bad("Bad parameters: you must choose at least one stream"));
    }
    let mut logs = engine.logs(&record.id, &wanted.options)?;
    let kind = if record.tty { "application/vnd.docker.raw-stream" } else { "application/vnd.docker.multiplexed-stream" };
    let write = move |out: &mut Output| {
        logs.until(out.gone().try_clone_to_owned()?);
        // Of each stream, whether its last line is not complete.
        let mut middle = [false; 2];
        let mut pieces = Pieces::new(out);
        while let Some(line) = logs.next() {
            let line = line?;
            let error = line.stream == Stream::Stderr;
            if !(if error { wanted.stderr } else { wanted.stdout }) {
                continue;
            }
            let mut bytes = if middle[usize::from(error)] { Vec::new() } else { beginning(&wanted, line.time) };
            middle[usize::from(error)] = line.partial;
            bytes.extend(line.bytes);
            if !line.partial {
                bytes.push(b'\n');
            }
            pieces.add(error, &bytes, wanted.tty)?;
            if !logs.is_at_hand() {
                pieces.send()?;
            }
        }
        pieces.send()
    };
    Ok(Answer::Stream(kind, Vec::new(), Box::new(write)))
}

fn beginning(wanted: &Wanted, time: Nanos) -> Vec<u8> {
    let time = wanted.timestamps.then(|| format!("{} ", amount::rfc3339(time)));
    let details = wanted.details.as_ref().map(|details| format!("{details} "));
    [time, details].into_iter().flatten().collect::<String>().into_bytes()
}

/// Lines that are sent together, as long as more are at hand.
struct Pieces<'a> {
    out: &'a mut Output,
    bytes: Vec<u8>,
}

impl<'a> Pieces<'a> {
    /// So many bytes are sent at once.
    const MOST: usize = 64 << 10;

    fn new(out: &'a mut Output) -> Self {
        Pieces { out, bytes: Vec::new() }
    }

    fn add(&mut self, error: bool, line: &[u8], tty: bool) -> Result<()> {
        if !tty {
            self.bytes.extend(head(error, line.len()));
        }
        self.bytes.extend(line);
        if self.bytes.len() >= Self::MOST { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<()> {
        if !self.bytes.is_empty() {
            self.out.write_all(&self.bytes)?;
            self.bytes.clear();
        }
        Ok(())
    }
}
