//! The real programs, on the real kernel, with a real registry. See `integration/test --help`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use integration::runner;

mod fixtures;

fn main() -> ExitCode {
    runner::main(&[fixtures::TESTS])
}
