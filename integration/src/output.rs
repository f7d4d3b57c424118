//! What a command answered, with assertions that show all of it when they fail.

use std::fmt;

/// A finished command.
#[must_use = "say what the command should have answered"]
#[derive(Debug, Clone)]
pub struct Output {
    /// The command line.
    pub command: String,
    /// Exit code; 128 and the signal's number for a death by signal.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "$ {}\nexit code {}", self.command, self.code)?;
        write!(f, "--- stdout\n{}\n--- stderr\n{}\n---", self.stdout.trim_end(), self.stderr.trim_end())
    }
}

#[allow(clippy::must_use_candidate, clippy::return_self_not_must_use, reason = "each is an assertion: done when it returns")]
impl Output {
    /// Exit code 0.
    #[track_caller]
    pub fn ok(&self) -> &Self {
        self.code(0)
    }

    /// This exit code.
    #[track_caller]
    pub fn code(&self, code: i32) -> &Self {
        assert!(self.code == code, "expected exit code {code}\n{self}");
        self
    }

    /// Exactly this on standard output.
    #[track_caller]
    pub fn says(&self, stdout: &str) -> &Self {
        assert!(self.stdout == stdout, "expected on stdout: {stdout:?}\n{self}");
        self
    }

    /// This somewhere on standard output.
    #[track_caller]
    pub fn has(&self, part: &str) -> &Self {
        assert!(self.stdout.contains(part), "expected somewhere on stdout: {part:?}\n{self}");
        self
    }

    /// This nowhere on standard output.
    #[track_caller]
    pub fn lacks(&self, part: &str) -> &Self {
        assert!(!self.stdout.contains(part), "expected nowhere on stdout: {part:?}\n{self}");
        self
    }

    /// Exactly this on standard error.
    #[track_caller]
    pub fn says_aside(&self, stderr: &str) -> &Self {
        assert!(self.stderr == stderr, "expected on stderr: {stderr:?}\n{self}");
        self
    }

    /// Each of these somewhere on standard error, whatever the case of letters.
    #[track_caller]
    pub fn complains(&self, parts: &[&str]) -> &Self {
        let stderr = self.stderr.to_lowercase();
        for part in parts {
            assert!(stderr.contains(&part.to_lowercase()), "expected somewhere on stderr: {part:?}\n{self}");
        }
        self
    }

    /// An error of ours: one line that begins with `rctr: ` and names each of `parts`, and nothing on standard output.
    #[track_caller]
    pub fn fails(&self, code: i32, parts: &[&str]) -> &Self {
        self.code(code).complains(parts).says("");
        let one = self.stderr.starts_with("rctr: ") && self.stderr.ends_with('\n') && self.stderr.lines().count() == 1;
        assert!(one, "expected one line on stderr that begins with \"rctr: \"\n{self}");
        self
    }

    /// Standard output without the space around it.
    pub fn text(&self) -> &str {
        self.stdout.trim()
    }

    /// The lines of standard output.
    pub fn lines(&self) -> Vec<&str> {
        self.stdout.lines().collect()
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("expected JSON on stdout: {error}\n{self}"))
    }

    /// The rest of the first line that begins with `key`.
    #[track_caller]
    pub fn field(&self, key: &str) -> &str {
        let found = self.stdout.lines().find_map(|line| line.strip_prefix(key));
        found.unwrap_or_else(|| panic!("expected a line on stdout that begins with {key:?}\n{self}")).trim()
    }
}
