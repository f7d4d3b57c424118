//! Standard output.

use std::io::Write;

use serde::Serialize;

use crate::error::{Doing, Result};

/// Prints a text, and is the verb's success.
pub(crate) fn print(text: &str) -> Result<u8> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).doing(|| "write to standard output")?;
    Ok(0)
}

/// Prints JSON as runc does: two blanks, a line end.
pub(crate) fn pretty(value: &impl Serialize) -> Result<u8> {
    print(&(serde_json::to_string_pretty(value)? + "\n"))
}

/// Prints JSON in one line.
pub(crate) fn line(value: &impl Serialize) -> Result<u8> {
    print(&(serde_json::to_string(value)? + "\n"))
}

/// Rows of cells, as wide as they need to be.
pub(crate) fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |at: usize| rows.iter().map(|row| row[at].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let cell =
        |(at, text): (usize, &String)| if at + 1 == N { text.clone() } else { format!("{text:<width$}", width = widths[at] + 3) };
    rows.iter().map(|row| row.iter().enumerate().map(cell).collect::<String>().trim_end().to_owned() + "\n").collect()
}
