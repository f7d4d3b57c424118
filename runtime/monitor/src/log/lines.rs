//! Bytes of log files to lines.

use launch::Nanos;

use super::record;
use crate::Stream;

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// When the container wrote it.
    pub time: Nanos,
    /// Where.
    pub stream: Stream,
    /// The line goes on in the next record of this stream; otherwise a newline belongs behind `bytes`.
    pub partial: bool,
    /// What it wrote.
    pub bytes: &'a [u8],
}

/// Takes the bytes of log files in pieces of any size and gives out records. What is no record (a file that somebody else has
/// written to) is skipped up to the next newline.
#[derive(Debug, Default)]
pub struct Lines {
    buffer: Vec<u8>,
    /// Where the next record begins.
    at: usize,
    /// The text of the last record, if it was JSON.
    text: String,
}

impl Lines {
    /// More bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.at);
        self.at = 0;
        // Nobody makes such records. Without a bound, garbage could take all memory.
        if self.buffer.len() > record::HEAD + 8 * record::MAX_PART {
            self.buffer.clear();
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether the next record may be here without more bytes.
    pub fn is_at_hand(&self) -> bool {
        self.buffer[self.at..].contains(&b'\n')
    }

    /// The next whole record; `None` when more bytes are needed.
    #[allow(clippy::should_implement_trait, reason = "an iterator could not lend its buffer")]
    pub fn next(&mut self) -> Option<Line<'_>> {
        loop {
            let from = self.at;
            let length = self.buffer[from..].iter().position(|byte| *byte == b'\n')?;
            self.at += length + 1;
            if self.buffer[from] == record::JSON {
                let Some((time, stream, full, text)) = record::parse_json(&self.buffer[from..from + length]) else { continue };
                self.text = text;
                return Some(Line { time, stream, partial: !full, bytes: self.text.as_bytes() });
            }
            if record::parse(&self.buffer[from..from + length]).is_some() {
                let (time, stream, full, bytes) = record::parse(&self.buffer[from..from + length])?;
                return Some(Line { time, stream, partial: !full, bytes });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &[u8] = b"2026-03-01T08:15:30.000000001Z stdout F one\n\
        garbage\n\
        2026-03-01T08:15:30.000000002Z stderr P tw\n\
        2026-03-01T08:15:30.000000003Z stderr F o\n";

    #[test]
    fn any_cut_gives_the_same_lines() {
        for size in 1..LOG.len() {
            let (mut lines, mut seen) = (Lines::default(), Vec::new());
            for piece in LOG.chunks(size) {
                lines.push(piece);
                while let Some(line) = lines.next() {
                    seen.push((line.time % 10, line.stream, line.partial, line.bytes.to_vec()));
                }
            }
            let expected = [
                (1, Stream::Stdout, false, b"one".to_vec()),
                (2, Stream::Stderr, true, b"tw".to_vec()),
                (3, Stream::Stderr, false, b"o".to_vec()),
            ];
            assert_eq!(seen, expected, "pieces of {size}");
        }
    }

    #[test]
    fn garbage_takes_no_memory() {
        let mut lines = Lines::default();
        for _ in 0..1000 {
            lines.push(&[b'x'; 4096]);
            assert_eq!(lines.next(), None);
        }
        assert!(lines.buffer.capacity() < 1 << 20);
    }
}
