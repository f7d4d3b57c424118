//! What is wrong with the files of an administrator.

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// The form is wrong.
    #[error("line {line}: {message}")]
    Toml {
        /// From 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// The format of 2019 and before.
    #[error("version 1 of the format ([registries.search] and so on) is not supported: write [[registry]] tables")]
    Version1,
    /// The form of a JSON file is wrong.
    #[error("line {line}: {message}")]
    Json {
        /// From 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// A table is wrong.
    #[error("[[registry]] {name:?}: {problem}")]
    Table {
        /// Prefix or location.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A host in `hosts.toml` is wrong.
    #[error("host {name:?}: {problem}")]
    Host {
        /// As the file has it.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// A short name stands for something that is no name of a repository.
    #[error("[aliases] {name:?}: {problem}")]
    Alias {
        /// The short name.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
}

impl Invalid {
    pub(in crate::registry) fn toml(text: &str, error: &toml::de::Error) -> Self {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        Invalid::Toml { line: before.matches('\n').count() + 1, message: error.message().replace('\n', " ") }
    }
}
