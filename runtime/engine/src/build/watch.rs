//! What a build tells while it goes.

use std::time::Duration;

/// A part of a build that is shown: a stage's beginning, a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vertex {
    /// Counted from 1, in the order in which they begin.
    pub number: usize,
    /// Such as `[build 2/4] RUN make`.
    pub name: String,
}

/// What happens.
#[derive(Debug)]
pub enum Report<'a> {
    /// A step begins.
    Begins,
    /// A step need not be done.
    Cached,
    /// It says something.
    Says(&'a str),
    /// Its program wrote something.
    Wrote {
        /// To standard error.
        error: bool,
        /// What.
        bytes: &'a [u8],
        /// Since it has begun.
        after: Duration,
    },
    /// It is done.
    Done(Duration),
    /// It failed.
    Failed(&'a str),
    /// It was ended because another one failed, or somebody has ended the build.
    Canceled,
}

/// Who is told. Steps of several stages may speak at once.
pub trait Watch: Sync {
    /// Something happens in a step.
    fn report(&self, vertex: &Vertex, report: Report<'_>);

    /// Something that is not wrong, but probably not meant.
    fn warn(&self, text: &str);
}
