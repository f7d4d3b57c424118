//! The caller's terminal: its size, and raw mode that ends with its guard.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};

/// Rows and columns, when `fd` is a terminal that knows them.
pub(crate) fn size(fd: impl AsFd) -> Option<(u16, u16)> {
    let size = tcgetwinsize(fd).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}

/// A terminal in raw mode: each key goes to the container as it is. Dropping it restores the terminal.
pub(crate) struct Raw<'fd> {
    fd: BorrowedFd<'fd>,
    before: Termios,
}

impl<'fd> Raw<'fd> {
    /// Switches `fd` to raw mode, if it is a terminal.
    pub(crate) fn enter(fd: BorrowedFd<'fd>) -> Option<Raw<'fd>> {
        if !isatty(fd) {
            return None;
        }
        let before = tcgetattr(fd).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(fd, OptionalActions::Flush, &raw).ok()?;
        Some(Raw { fd, before })
    }
}

impl Drop for Raw<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.fd, OptionalActions::Drain, &self.before);
    }
}

/// What Ctrl-C types.
pub(crate) const CTRL_C: u8 = 3;

/// A terminal that does not show what is typed. Dropping it restores the terminal. A signal would not: Ctrl-C ends the line
/// instead, and is its last character.
pub(crate) struct Hidden<F: AsFd> {
    fd: F,
    before: Termios,
}

impl<F: AsFd> Hidden<F> {
    /// Hides what is typed, if it is a terminal.
    pub(crate) fn enter(fd: F) -> Option<Self> {
        let before = tcgetattr(&fd).ok()?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
        hidden.special_codes[SpecialCodeIndex::VEOL] = CTRL_C;
        tcsetattr(&fd, OptionalActions::Flush, &hidden).ok()?;
        Some(Hidden { fd, before })
    }
}

impl<F: AsFd> Drop for Hidden<F> {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.fd, OptionalActions::Drain, &self.before);
    }
}
