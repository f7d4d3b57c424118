//! Dockerfiles as BuildKit understands them: text in, values out, no file is read and nothing is run.
//!
//! ```text
//! text ──lines──▶ logical lines, here-documents ──instruction──▶ instructions ──stages──▶ which stages are needed, on what each stands
//!                                                      └─ expanded one by one in a stage's scope: words, scope
//! ```
//!
//! | module | |
//! |---|---|
//! | `lines` | parser directives, comments, continuation, here-documents |
//! | `instruction` | verbs, flags, forms |
//! | `words`, `glob` | quotes, variables, patterns |
//! | `scope` | `ARG` and `ENV`: who sees what |
//! | `stages` | stages, and which of them a target needs |
//! | `mount`, `mode` | `RUN --mount`, `--chmod` |
//! | `ignore` | `.dockerignore` |
//! | `invalid` | mistakes, with line and caret |
//!
//! The rules are those of the Dockerfile reference; where it is silent, of BuildKit's behaviour.

pub(crate) mod glob;
mod ignore;
mod instruction;
mod invalid;
mod lines;
mod mode;
mod mount;
mod scope;
mod stages;
mod words;

pub(crate) use ignore::clean;
pub use ignore::{Ignore, Verdict};
pub(crate) use instruction::trigger;
pub use instruction::{Command, Copy, From, Healthcheck, Instruction, Kind, Run, duration};
pub use invalid::{Invalid, excerpt};
pub use lines::{Directives, Heredoc, LIMIT};
pub(crate) use mode::Mode;
pub(crate) use mount::{MountKind, RunMount, Sharing};
pub(crate) use scope::{Globals, PROXIES, Scope};
pub(crate) use stages::{Base, Stages, find, shown};
pub(crate) use words::expand;

/// A Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// What its first comments say.
    pub directives: Directives,
    /// The `ARG`s before the first stage.
    pub args: Vec<Instruction>,
    /// Its stages, in order; at least one.
    pub stages: Vec<Stage>,
}

/// A stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// The lines of its `FROM`.
    pub lines: (usize, usize),
    /// What it begins with.
    pub from: From,
    /// What follows.
    pub instructions: Vec<Instruction>,
}

impl Dockerfile {
    /// Reads a Dockerfile.
    ///
    /// # Errors
    /// [`Invalid`] says in which line what is wrong.
    pub fn parse(text: &str) -> Result<Dockerfile, Invalid> {
        let (directives, logical) = lines::cut(text)?;
        let (mut args, mut stages) = (Vec::new(), Vec::<Stage>::new());
        for logical in &logical {
            let instruction = instruction::read(logical, directives.escape)?;
            match (&instruction.kind, stages.last_mut()) {
                (Kind::From(from), _) => {
                    stages.push(Stage { lines: instruction.lines, from: from.clone(), instructions: Vec::new() });
                }
                (_, Some(stage)) => stage.instructions.push(instruction),
                (Kind::Arg(_), None) => args.push(instruction),
                (_, None) => {
                    return Err(Invalid::new(
                        instruction.lines.0,
                        "no build stage in current context: the first instruction is FROM",
                    ));
                }
            }
        }
        if stages.is_empty() {
            return Err(Invalid::new(1, "file with no instructions: it needs at least FROM"));
        }
        Ok(Dockerfile { directives, args, stages })
    }
}
