//! `rctr logs`.

use std::io::{BufWriter, Write};

use anyhow::Result;
use engine::{LogOptions, Nanos, Stream};

use crate::context::Context;
use crate::output::amount;
use crate::parse;

/// Print what a container wrote
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Go on until the container ends
    #[arg(short, long)]
    follow: bool,
    /// Only the last N lines
    #[arg(short = 'n', long, value_name = "N", default_value = "all", value_parser = tail)]
    tail: Tail,
    /// Only since this time (RFC 3339), or this long ago, such as 10m
    #[arg(long, value_name = "TIME", value_parser = parse::moment)]
    since: Option<Nanos>,
    /// Only until this time
    #[arg(long, value_name = "TIME", value_parser = parse::moment)]
    until: Option<Nanos>,
    /// Show when each line was written
    #[arg(short, long)]
    timestamps: bool,
    /// Show what --log-opt notes with each line
    #[arg(long)]
    details: bool,
    /// Name or id
    container: String,
}

#[derive(Debug, Clone, Copy)]
struct Tail(Option<u64>);

fn tail(text: &str) -> Result<Tail, String> {
    match text {
        "all" | "-1" => Ok(Tail(None)),
        text => {
            text.parse().map(|count| Tail(Some(count))).map_err(|_| format!("{text:?} is no number of lines: give one, or all"))
        }
    }
}

/// Prints the lines, standard error's to standard error.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let options = LogOptions { follow: args.follow, tail: args.tail.0, since: args.since, until: args.until };
    let (mut out, mut err) = (BufWriter::new(std::io::stdout().lock()), BufWriter::new(std::io::stderr().lock()));
    let details = if args.details { Some(details(&engine.log_notes(&args.container)?)) } else { None };
    let mut middle = false;
    let mut last = Stream::Stdout;
    for line in engine.logs(&args.container, &options)? {
        let line = line?;
        let (to, other): (&mut dyn Write, &mut dyn Write) = match line.stream {
            Stream::Stdout => (&mut out, &mut err),
            Stream::Stderr => (&mut err, &mut out),
        };
        if line.stream != last {
            // Both may be one terminal, or one file.
            other.flush()?;
            last = line.stream;
        }
        if args.timestamps && !middle {
            write!(to, "{} ", amount::rfc3339(line.time))?;
        }
        if let (Some(details), false) = (&details, middle) {
            write!(to, "{details} ")?;
        }
        to.write_all(&line.bytes)?;
        if !line.partial {
            to.write_all(b"\n")?;
        }
        if args.follow {
            to.flush()?;
        }
        middle = line.partial;
    }
    out.flush()?;
    err.flush()?;
    Ok(0)
}

/// As Docker writes them: in the form of a query, with commas between them.
fn details(notes: &[(String, String)]) -> String {
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
