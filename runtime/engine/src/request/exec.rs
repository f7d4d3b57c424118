//! Another process in a running container.

/// A process to run in a running container.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExecRequest {
    /// Program and arguments.
    pub cmd: Vec<String>,
    /// Variables on top of the container's.
    pub env: Vec<String>,
    /// Working folder; the container's when there is none.
    pub workdir: Option<String>,
    /// `user[:group]`; the container's when there is none.
    pub user: Option<String>,
    /// Give it a terminal.
    pub tty: bool,
    /// Feed its standard input.
    pub stdin: bool,
    /// Do not listen to its output.
    pub detach: bool,
    /// All capabilities and no filter.
    pub privileged: bool,
    /// Rows and columns of the terminal at the start.
    pub size: Option<(u16, u16)>,
}
