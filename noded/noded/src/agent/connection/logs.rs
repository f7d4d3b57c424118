//! A container's log as text.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::Bytes;
use control::tunnel::options::LogOptions;
use engine::LogLine;
use futures_util::Stream;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tonic::Status;

use super::routes::blocking;
use crate::host::chain;
use crate::node::Node;

/// Text is handed over when there is so much of it, or nothing more at hand.
const PIECE: usize = 16 << 10;

/// Pieces that wait for a slow client.
const WAITING: usize = 4;

/// Opens a log. The text ends with the log or, if it is followed, with the container; reading ends when the stream is dropped.
pub(super) async fn stream(
    node: &Arc<Node>,
    id: String,
    options: LogOptions,
) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>, Status> {
    let pipe = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
    let (enough, alive) = pipe.map_err(|errno| Status::internal(errno.to_string()))?;
    let node = Arc::clone(node);
    let mut logs = blocking(move || {
        let LogOptions { follow, tail, since, .. } = options;
        let wanted = engine::LogOptions { follow, tail, since, until: None };
        node.engine().logs(&id, &wanted).map_err(|error| Status::internal(chain(&error)))
    })
    .await?;
    logs.until(enough);
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::task::spawn_blocking(move || read(logs, Text::new(&options), &sender));
    // The write end of the pipe lives as long as the stream.
    let state: (mpsc::Receiver<io::Result<Bytes>>, OwnedFd) = (receiver, alive);
    Ok(futures_util::stream::unfold(
        state,
        |(mut receiver, alive)| async move { Some((receiver.recv().await?, (receiver, alive))) },
    ))
}

/// Hands over all text, in pieces. Ends early when nobody wants more.
fn read(mut logs: engine::Logs, mut text: Text, to: &mpsc::Sender<io::Result<Bytes>>) {
    let mut piece = Vec::new();
    while let Some(line) = logs.next() {
        let more = match line {
            Ok(line) => text.add(&line, &mut piece),
            Err(error) => return drop(to.blocking_send(Err(io::Error::other(chain(&error))))),
        };
        let whole = piece.len() >= PIECE || !more || !logs.is_at_hand();
        if whole && to.blocking_send(Ok(std::mem::take(&mut piece).into())).is_err() || !more {
            return;
        }
    }
    if !piece.is_empty() {
        let _ = to.blocking_send(Ok(piece.into()));
    }
}

/// Makes text of lines.
#[derive(Debug)]
struct Text {
    timestamps: bool,
    /// Bytes that may still come.
    left: u64,
    /// The last part ended no line.
    within: bool,
}

impl Text {
    fn new(options: &LogOptions) -> Text {
        Text { timestamps: options.timestamps, left: options.limit.unwrap_or(u64::MAX), within: false }
    }

    /// Appends a line, or a part of one. False when no more is wanted.
    fn add(&mut self, line: &LogLine, to: &mut Vec<u8>) -> bool {
        let begin = to.len();
        if self.timestamps && !self.within {
            to.extend_from_slice(time(line.time).as_bytes());
        }
        to.extend_from_slice(&line.bytes);
        if !line.partial {
            to.push(b'\n');
        }
        self.within = line.partial;
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        to.truncate(begin.saturating_add(most));
        self.left -= (to.len() - begin) as u64;
        self.left > 0
    }
}

/// RFC 3339 with nanoseconds, and a blank.
fn time(nanos: u64) -> String {
    let time = Timestamp::from_nanosecond(i128::from(nanos)).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%S.%9fZ ").to_string()
}

#[cfg(test)]
mod tests {
    use engine::Stream::Stdout;

    use super::*;

    fn shown(options: LogOptions, lines: &[(&str, bool)]) -> (String, bool) {
        let (mut text, mut out) = (Text::new(&options), Vec::new());
        let mut more = true;
        for (line, partial) in lines {
            let line = LogLine { time: 1_000_000_002, stream: Stdout, partial: *partial, bytes: line.as_bytes().to_vec() };
            more = more && text.add(&line, &mut out);
        }
        (String::from_utf8(out).unwrap(), more)
    }

    #[test]
    fn parts_are_joined_and_have_one_time() {
        let lines = [("a", true), ("b", false), ("c", false)];
        assert_eq!(shown(LogOptions::default(), &lines), ("ab\nc\n".to_owned(), true));
        let timed = shown(LogOptions { timestamps: true, ..LogOptions::default() }, &lines).0;
        assert_eq!(timed, "1970-01-01T00:00:01.000000002Z ab\n1970-01-01T00:00:01.000000002Z c\n");
    }

    #[test]
    fn a_limit_cuts_within_a_line() {
        let limited = |limit| shown(LogOptions { limit: Some(limit), ..LogOptions::default() }, &[("abc", false), ("def", false)]);
        assert_eq!(limited(2), ("ab".to_owned(), false));
        assert_eq!(limited(4), ("abc\n".to_owned(), false));
        assert_eq!(limited(6), ("abc\nde".to_owned(), false));
        assert_eq!(limited(9), ("abc\ndef\n".to_owned(), true));
    }
}
