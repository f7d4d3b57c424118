//! Runs the tests one after the other, on the main thread, and counts.
//!
//! One after the other, because they compare the host before and after, and because this machine's two cores are
//! busy with one. A test that cannot run here says so with [`skip!`](crate::skip), by name and with a reason.

use std::cell::{Cell, RefCell};
use std::panic::{catch_unwind, panic_any, set_hook};
use std::process::ExitCode;
use std::time::Instant;

/// One test.
#[derive(Debug, Clone, Copy)]
pub struct Test {
    /// `module::function`.
    pub name: &'static str,
    /// Panics when it fails.
    pub run: fn(),
}

/// Lists a module's tests. A function that is left out is dead code, which the compiler reports.
#[macro_export]
macro_rules! tests {
    ($($test:ident),* $(,)?) => {
        pub(crate) const TESTS: &[$crate::runner::Test] =
            &[$($crate::runner::Test { name: concat!(module_path!(), "::", stringify!($test)), run: $test }),*];
    };
}

/// Ends the running test as skipped, with a reason.
#[macro_export]
macro_rules! skip {
    ($($reason:tt)*) => { $crate::runner::skip(format!($($reason)*)) };
}

struct Skipped(String);

/// See [`skip!`](crate::skip).
pub fn skip(reason: String) -> ! {
    panic_any(Skipped(reason))
}

thread_local! {
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
    static CURRENT: Cell<&'static str> = const { Cell::new("") };
}

/// The test that runs: `module::function`, as it is printed.
#[must_use]
pub fn current() -> &'static str {
    CURRENT.get()
}

/// Which tests to run: those whose name contains one of `only` (all, if there is none) and none of `never`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Choice {
    only: Vec<String>,
    never: Vec<String>,
    list: bool,
}

impl Choice {
    /// Reads the arguments of `cargo test -- ARGS`; what belongs to cargo's own runner has no meaning here.
    fn parse(args: impl Iterator<Item = String>) -> Self {
        let mut choice = Self::default();
        let mut args = args;
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--list" => choice.list = true,
                "--skip" => choice.never.extend(args.next()),
                flag if flag.starts_with('-') => {}
                _ => choice.only.push(arg),
            }
        }
        choice
    }

    fn takes(&self, name: &str) -> bool {
        (self.only.is_empty() || self.only.iter().any(|part| name.contains(part)))
            && !self.never.iter().any(|part| name.contains(part))
    }
}

/// Runs what the arguments choose and prints `N passed, N failed, N skipped` last.
#[allow(clippy::print_stdout, reason = "a test runner reports on standard output")]
pub fn main(groups: &[&[Test]]) -> ExitCode {
    let choice = Choice::parse(std::env::args().skip(1));
    let name = |test: &Test| test.name.split_once("::").map_or(test.name, |(_, rest): (&'static str, &'static str)| rest);
    let chosen: Vec<_> = groups.iter().copied().flatten().filter(|test| choice.takes(name(test))).collect();
    if choice.list {
        chosen.iter().for_each(|test| println!("{}: test", name(test)));
        return ExitCode::SUCCESS;
    }
    set_hook(Box::new(|info| {
        let place = info.location().map_or_else(String::new, |at| format!("{}:{}: ", at.file(), at.line()));
        let said = info.payload_as_str().unwrap_or("panic without a message");
        LAST_PANIC.with_borrow_mut(|last| *last = format!("{place}{said}"));
    }));
    let (mut passed, mut failed, mut skipped) = (0, Vec::new(), Vec::new());
    for test in chosen {
        CURRENT.set(name(test));
        let start = Instant::now();
        let result = catch_unwind(test.run);
        let time = start.elapsed().as_millis();
        match result {
            Ok(()) => {
                passed += 1;
                println!("ok      {} ({time} ms)", name(test));
            }
            Err(payload) => match payload.downcast::<Skipped>() {
                Ok(reason) => {
                    println!("skipped {}: {}", name(test), reason.0);
                    skipped.push(format!("{}: {}", name(test), reason.0));
                }
                Err(_) => {
                    println!("FAILED  {} ({time} ms)\n{}\n", name(test), LAST_PANIC.take());
                    failed.push(name(test));
                }
            },
        }
    }
    for (title, names) in [("skipped", &skipped), ("failed", &failed.iter().map(ToString::to_string).collect())] {
        if !names.is_empty() {
            println!("\n{title}:\n  {}", names.join("\n  "));
        }
    }
    println!("\nintegration: {passed} passed, {} failed, {} skipped", failed.len(), skipped.len());
    ExitCode::from(u8::from(!failed.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_choose_by_parts_of_names() {
        let parse = |args: &str| Choice::parse(args.split(' ').map(str::to_owned));
        let choice = parse("--nocapture run --skip slow");
        assert!(choice.takes("run::exit_code") && !choice.takes("run::slow") && !choice.takes("pull::digest"));
        assert!(Choice::default().takes("anything"));
    }
}
