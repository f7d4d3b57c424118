//! Lines of logs as they are printed.

use std::io::{BufWriter, Result, Stderr, Stdout, Write};

use engine::{LogLine, Stream};

use crate::output::amount;

/// What stands before a container's lines.
pub(super) struct Before {
    /// The container, with a blank behind it, if there are several.
    pub(super) whose: String,
    /// What ends its colour.
    pub(super) after: &'static str,
    /// What is noted with each line.
    pub(super) details: Option<String>,
}

/// Colours of a terminal's text that are neither black nor white (ECMA-48, "Select Graphic Rendition").
const COLORS: [&str; 6] = ["\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[34m", "\x1b[35m", "\x1b[36m"];

impl Before {
    /// For the container `whose`, with the colour of this number.
    pub(super) fn of(whose: &str, color: Option<usize>, details: Option<String>) -> Before {
        match color.map(|at| COLORS[at % COLORS.len()]) {
            Some(color) => Before { whose: format!("{color}{whose} "), after: "\x1b[0m", details },
            None => Before { whose: format!("{whose} "), after: "", details },
        }
    }
}

/// Prints lines to the stream that they were written to.
pub(super) struct Printer {
    out: BufWriter<Stdout>,
    err: BufWriter<Stderr>,
    timestamps: bool,
    /// Each line is wanted at once.
    at_once: bool,
    last: Stream,
    /// The last line is not complete.
    middle: bool,
}

impl Printer {
    pub(super) fn new(timestamps: bool, at_once: bool) -> Printer {
        let (out, err) = (BufWriter::new(std::io::stdout()), BufWriter::new(std::io::stderr()));
        Printer { out, err, timestamps, at_once, last: Stream::Stdout, middle: false }
    }

    pub(super) fn print(&mut self, before: &Before, line: &LogLine) -> Result<()> {
        let (to, other): (&mut dyn Write, &mut dyn Write) = match line.stream {
            Stream::Stdout => (&mut self.out, &mut self.err),
            Stream::Stderr => (&mut self.err, &mut self.out),
        };
        if line.stream != self.last {
            // Both may be one terminal, or one file.
            other.flush()?;
            self.last = line.stream;
        }
        if !self.middle {
            to.write_all(before.whose.as_bytes())?;
            if self.timestamps {
                write!(to, "{} ", amount::rfc3339(line.time))?;
            }
            if let Some(details) = &before.details {
                write!(to, "{details} ")?;
            }
        }
        to.write_all(&line.bytes)?;
        if !line.partial {
            to.write_all(before.after.as_bytes())?;
            to.write_all(b"\n")?;
        }
        if self.at_once {
            to.flush()?;
        }
        self.middle = line.partial;
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<()> {
        self.out.flush()?;
        self.err.flush()
    }
}

/// As Docker writes them: in the form of a query, with commas between them.
pub(crate) fn details(notes: &[(String, String)]) -> String {
    let plain = |text: &str| {
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        let shown = |byte: u8| match byte {
            b' ' => "+".to_owned(),
            byte if fine(byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        };
        text.bytes().map(shown).collect::<String>()
    };
    let mut all: Vec<_> = notes.iter().map(|(key, value)| format!("{}={}", plain(key), plain(value))).collect();
    all.sort();
    all.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_a_query() {
        let note = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(details(&[note("b", "1 2"), note("a/x", "ä")]), "a%2Fx=%C3%A4,b=1+2");
        assert_eq!(details(&[]), "");
    }
}
