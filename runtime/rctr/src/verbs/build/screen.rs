//! A build on a terminal: what is done, and below it what runs, drawn anew as it goes on.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use engine::build::{Report, Vertex, Watch};

use super::progress::{plain, seconds};

/// Lines of a step's program that are seen while it runs, and when it has failed.
const SEEN: usize = 6;
const LAST: usize = 20;
/// How often times move on.
const FRAME: Duration = Duration::from_millis(100);

/// Draws until it is dropped.
pub(super) struct Screen {
    state: Arc<Mutex<State>>,
    /// Closed at the end.
    end: Option<mpsc::Sender<()>>,
    drawing: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    /// What is to be printed once, above all that runs.
    done: Vec<String>,
    running: BTreeMap<usize, Step>,
    /// Lines that were drawn and are to be drawn over.
    drawn: usize,
    began: Option<Instant>,
    finished: usize,
}

struct Step {
    name: String,
    began: Instant,
    /// A line that is not complete yet, and the last complete ones.
    open: Vec<u8>,
    lines: Vec<String>,
}

impl Screen {
    pub(super) fn new() -> Self {
        let state = Arc::new(Mutex::new(State { began: Some(Instant::now()), ..State::default() }));
        let (end, ended) = mpsc::channel::<()>();
        let drawn = state.clone();
        let draw = move || {
            while ended.recv_timeout(FRAME) == Err(mpsc::RecvTimeoutError::Timeout) {
                locked(&drawn).draw();
            }
        };
        let drawing = std::thread::Builder::new().name("screen".to_owned()).spawn(draw).ok();
        Screen { state, end: Some(end), drawing }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.drawing.take() {
            let _ = thread.join();
        }
        locked(&self.state).draw();
    }
}

fn locked(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch for Screen {
    fn report(&self, vertex: &Vertex, report: Report<'_>) {
        locked(&self.state).report(vertex, report, Instant::now());
    }

    fn warn(&self, text: &str) {
        locked(&self.state).done.push(format!("rctr: warning: {text}"));
    }
}

impl State {
    fn report(&mut self, vertex: &Vertex, report: Report<'_>, now: Instant) {
        let name = plain(vertex.name.as_bytes());
        match report {
            Report::Begins => {
                let step = Step { name, began: now, open: Vec::new(), lines: Vec::new() };
                self.running.insert(vertex.number, step);
            }
            Report::Says(_) => {}
            Report::Wrote { bytes, .. } => {
                if let Some(step) = self.running.get_mut(&vertex.number) {
                    step.wrote(bytes);
                }
            }
            Report::Cached => self.end(vertex, format!(" => CACHED {name}")),
            Report::Done(time) => self.end(vertex, format!(" => {name} {}", seconds(time))),
            Report::Canceled => self.end(vertex, format!(" => CANCELED {name}")),
            Report::Failed(_) => {
                let mut text = format!(" => ERROR {name}");
                if let Some(step) = self.running.get_mut(&vertex.number) {
                    step.wrote(b"\n");
                    step.lines.retain(|line| !line.is_empty());
                    if !step.lines.is_empty() {
                        let _ = write!(text, "\n------\n > {name}:\n{}\n------", step.lines.join("\n"));
                    }
                }
                self.end(vertex, text);
            }
        }
    }

    fn end(&mut self, vertex: &Vertex, line: String) {
        self.running.remove(&vertex.number);
        self.finished += 1;
        self.done.push(line);
    }

    fn draw(&mut self) {
        let (columns, rows) = size();
        let text = self.frame(Instant::now(), columns, rows);
        // One write: half a frame would flicker.
        let mut out = io::stderr().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// What goes to the terminal for the next frame: over the last one, first what stays.
    fn frame(&mut self, now: Instant, columns: usize, rows: usize) -> String {
        if self.done.is_empty() && self.running.is_empty() && self.drawn == 0 {
            return String::new();
        }
        let mut text = String::new();
        if self.drawn > 0 {
            // To where the last frame began, and away with it (ECMA-48: CPL, ED).
            let _ = write!(text, "\x1b[{}F\x1b[J", self.drawn);
        }
        for line in self.done.drain(..) {
            text.push_str(&line);
            text.push('\n');
        }
        let mut lines = Vec::new();
        if !self.running.is_empty() {
            let passed = self.began.map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
            lines.push(format!("[+] Building {} ({} done)", seconds(passed), self.finished));
        }
        for step in self.running.values() {
            lines.push(format!(" => {} {}", step.name, seconds(now.saturating_duration_since(step.began))));
            let from = step.lines.len().saturating_sub(SEEN);
            lines.extend(step.lines[from..].iter().map(|line| format!(" => => # {line}")));
        }
        // What does not fit could not be drawn over. The last line of the screen is the cursor's.
        lines.truncate(rows.saturating_sub(1).max(1));
        self.drawn = lines.len();
        for line in lines {
            text.extend(line.chars().map(|letter| if letter == '\t' { ' ' } else { letter }).take(columns.saturating_sub(1)));
            text.push('\n');
        }
        text
    }
}

impl Step {
    fn wrote(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' => self.lines.push(plain(&std::mem::take(&mut self.open))),
                // A program that writes no line at all does not fill our memory.
                byte if self.open.len() < 64 << 10 => self.open.push(*byte),
                _ => {}
            }
        }
        let surplus = self.lines.len().saturating_sub(LAST);
        self.lines.drain(..surplus);
    }
}

/// Columns and rows of the terminal.
fn size() -> (usize, usize) {
    let size = rustix::termios::tcgetwinsize(io::stderr()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
    size.map_or((80, 24), |size| (usize::from(size.ws_col), usize::from(size.ws_row)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vertex(number: usize, name: &str) -> Vertex {
        Vertex { number, name: name.to_owned() }
    }

    #[test]
    fn what_is_done_stays_above_what_runs() {
        let now = Instant::now();
        let mut state = State { began: Some(now), ..State::default() };
        assert_eq!(state.frame(now, 80, 24), "");
        state.report(&vertex(1, "[1/2] FROM x"), Report::Begins, now);
        state.report(&vertex(2, "[2/2] RUN y"), Report::Begins, now);
        state.report(&vertex(2, ""), Report::Wrote { error: false, bytes: b"one\ntwo\rthree\nopen", after: Duration::ZERO }, now);
        let later = now + Duration::from_millis(1500);
        let drawn = "[+] Building 1.5s (0 done)\n => [1/2] FROM x 1.5s\n => [2/2] RUN y 1.5s\n => => # one\n => => # three\n";
        assert_eq!(state.frame(later, 80, 24), drawn);
        state.report(&vertex(1, "[1/2] FROM x"), Report::Done(Duration::from_secs(1)), later);
        let over =
            "\x1b[5F\x1b[J => [1/2] FROM x 1.0s\n[+] Building 1.5s (1 done)\n => [2/2] RUN y 1.5s\n => => # one\n => => # three\n";
        assert_eq!(state.frame(later, 80, 24), over);
        state.report(&vertex(2, "[2/2] RUN y"), Report::Failed("no"), later);
        assert_eq!(
            state.frame(later, 80, 24),
            "\x1b[4F\x1b[J => ERROR [2/2] RUN y\n------\n > [2/2] RUN y:\none\nthree\nopen\n------\n"
        );
    }

    #[test]
    fn a_frame_fits_the_terminal() {
        let now = Instant::now();
        let mut state = State { began: Some(now), ..State::default() };
        for number in 1..=30 {
            state.report(&vertex(number, "RUN \x1b[2J a long line that is not to be broken"), Report::Begins, now);
        }
        let text = state.frame(now, 20, 10);
        assert_eq!(text.lines().count(), 9);
        assert!(text.lines().all(|line| line.chars().count() < 20) && !text.contains('\x1b'), "{text:?}");
    }
}
