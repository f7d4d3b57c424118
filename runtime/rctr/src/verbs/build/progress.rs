//! A build as it goes: every line it says, or what runs on a terminal ([`super::screen`]).

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use engine::build::{Report, Vertex, Watch};

use super::screen::Screen;

/// How to show it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Style {
    /// tty on a terminal, otherwise plain
    #[default]
    Auto,
    /// All that steps say
    Plain,
    /// What runs is drawn anew as it goes on; of what is done a line stays
    Tty,
    /// Nothing
    Quiet,
}

impl Style {
    /// What it means here.
    pub(crate) fn resolved(self) -> Style {
        match self {
            Style::Auto if io::stderr().is_terminal() => Style::Tty,
            Style::Auto => Style::Plain,
            other => other,
        }
    }
}

pub(crate) fn watch(style: Style) -> Box<dyn Watch> {
    match style.resolved() {
        Style::Quiet => Box::new(Silent),
        Style::Tty => Box::new(Screen::new()),
        Style::Plain | Style::Auto => Box::new(Plain::default()),
    }
}

/// Lines of a step's program that are shown again when it fails.
const LAST: usize = 20;

struct Silent;

impl Watch for Silent {
    fn report(&self, _: &Vertex, _: Report<'_>) {}

    fn warn(&self, _: &str) {}
}

/// BuildKit's plain form: `#5 [2/3] RUN make`, `#5 0.123 line`, `#5 DONE 0.2s`.
#[derive(Default)]
struct Plain {
    steps: Mutex<Steps>,
}

#[derive(Default)]
struct Steps {
    /// A line that is not complete yet, and the last complete ones, of each step.
    said: BTreeMap<usize, (Vec<u8>, Vec<String>)>,
    /// Who spoke last: another one is introduced again.
    last: usize,
}

impl Plain {
    fn line(steps: &mut Steps, vertex: &Vertex, text: &str) {
        if steps.last != vertex.number && steps.last != 0 {
            eprintln!();
            if text != vertex.name {
                eprintln!("#{} {}", vertex.number, vertex.name);
            }
        }
        steps.last = vertex.number;
        eprintln!("#{} {text}", vertex.number);
    }
}

impl Watch for Plain {
    fn report(&self, vertex: &Vertex, report: Report<'_>) {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let steps = &mut *steps;
        match report {
            Report::Begins => Self::line(steps, vertex, &vertex.name),
            Report::Cached => Self::line(steps, vertex, "CACHED"),
            Report::Says(text) => Self::line(steps, vertex, &format!("{text} done")),
            Report::Wrote { bytes, after, .. } => {
                for text in complete(steps, vertex, bytes, after) {
                    Self::line(steps, vertex, &text);
                }
            }
            Report::Done(time) => {
                rest(steps, vertex, Self::line);
                Self::line(steps, vertex, &format!("DONE {}", seconds(time)));
            }
            Report::Failed(why) => {
                rest(steps, vertex, Self::line);
                Self::line(steps, vertex, &format!("ERROR: {why}"));
                again(steps, vertex);
            }
            Report::Canceled => {
                rest(steps, vertex, Self::line);
                Self::line(steps, vertex, "CANCELED");
            }
        }
    }

    fn warn(&self, text: &str) {
        eprintln!("rctr: warning: {text}");
    }
}

/// The lines that are complete now.
fn complete(steps: &mut Steps, vertex: &Vertex, bytes: &[u8], after: Duration) -> Vec<String> {
    let (open, last) = steps.said.entry(vertex.number).or_default();
    let mut lines = Vec::new();
    for byte in bytes {
        match byte {
            b'\n' => {
                lines.push(format!("{:.3} {}", after.as_secs_f64(), plain(open)));
                open.clear();
            }
            byte => open.push(*byte),
        }
    }
    last.extend(lines.iter().cloned());
    let surplus = last.len().saturating_sub(LAST);
    last.drain(..surplus);
    lines
}

/// What came last without a newline.
fn rest(steps: &mut Steps, vertex: &Vertex, show: impl Fn(&mut Steps, &Vertex, &str)) {
    let open = steps.said.get_mut(&vertex.number).map(|(open, _)| std::mem::take(open)).unwrap_or_default();
    if !open.is_empty() {
        let text = plain(&open);
        if let Some((_, last)) = steps.said.get_mut(&vertex.number) {
            last.push(text.clone());
        }
        show(steps, vertex, &text);
    }
}

/// What a program has said last, before it failed.
fn again(steps: &Steps, vertex: &Vertex) {
    let Some((_, last)) = steps.said.get(&vertex.number).filter(|(_, last)| !last.is_empty()) else { return };
    eprintln!("------\n > {}:\n{}\n------", vertex.name, last.join("\n"));
}

/// What a program writes may move the cursor, or worse; a carriage return begins the line anew.
pub(super) fn plain(bytes: &[u8]) -> String {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    let line = bytes.rsplit(|byte| *byte == b'\r').next().unwrap_or_default();
    String::from_utf8_lossy(line).chars().filter(|letter| *letter == '\t' || !letter.is_control()).collect()
}

pub(super) fn seconds(time: Duration) -> String {
    format!("{:.1}s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_when_they_are_complete() {
        let (mut steps, vertex) = (Steps::default(), Vertex { number: 1, name: "RUN x".to_owned() });
        let after = Duration::from_millis(1500);
        assert!(complete(&mut steps, &vertex, b"one", after).is_empty());
        assert_eq!(
            complete(&mut steps, &vertex, b" more\ntwo\r\n10%\r20%\r30%\nrest", after),
            ["1.500 one more", "1.500 two", "1.500 30%"]
        );
        assert_eq!(plain(b"\x1b[31mred\x07"), "[31mred");
    }
}
