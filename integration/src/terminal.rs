//! A terminal with a person in front of it: a pty on which `rctr` runs in the foreground.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::env::PATIENCE;

/// A program on its own terminal.
#[derive(Debug)]
pub struct Terminal {
    master: OwnedFd,
    child: Child,
    chunks: Receiver<Vec<u8>>,
    screen: Vec<u8>,
}

impl Terminal {
    /// Starts `command` as the foreground program of a terminal of this size.
    ///
    /// # Panics
    /// When no terminal can be had.
    #[must_use]
    pub fn start(command: &Command, columns: u16, rows: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pty");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("a pty");
        let name = ptsname(&master, Vec::new()).expect("the name of a pty");
        let path = std::path::Path::new(std::ffi::OsStr::from_bytes(name.to_bytes()));
        resize(&master, columns, rows);
        let slave = || {
            let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
            Stdio::from(rustix::fs::open(path, flags, rustix::fs::Mode::empty()).expect("the other end of a pty"))
        };
        // setsid makes it the controlling terminal, which only the child itself can do
        let mut leader = Command::new("setsid");
        leader.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
        leader.env_clear().env("TERM", "xterm");
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                leader.env(name, value);
            }
        }
        let child = leader.stdin(slave()).stdout(slave()).stderr(slave()).spawn().expect("setsid (util-linux)");
        let mut reader = File::from(master.try_clone().expect("a descriptor"));
        let (send, chunks) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // EIO is the end: nobody has the other side open any more
            while let Ok(len @ 1..) = reader.read(&mut buffer) {
                if send.send(buffer[..len].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { master, child, chunks, screen: Vec::new() }
    }

    /// What has been shown so far.
    #[must_use]
    pub fn screen(&self) -> String {
        String::from_utf8_lossy(&self.screen).into_owned()
    }

    /// Waits until the screen shows `part`.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn wait_for(&mut self, part: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.screen().contains(part) {
            match self.chunks.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(chunk) => self.screen.extend(chunk),
                Err(why) => panic!("waited in vain for {part:?} ({why}); the screen:\n{}", self.screen()),
            }
        }
    }

    /// Types.
    ///
    /// # Panics
    /// When the terminal does not take it.
    pub fn type_in(&self, text: &str) {
        File::from(self.master.try_clone().expect("a descriptor")).write_all(text.as_bytes()).expect("typed");
    }

    /// Drags the window to another size.
    pub fn resize(&self, columns: u16, rows: u16) {
        resize(&self.master, columns, rows);
    }

    /// Drags the window to another size until the screen shows `part`: a program that does not listen yet would never hear of it.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn resize_until(&mut self, columns: u16, rows: u16, part: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.screen().contains(part) {
            assert!(Instant::now() < deadline, "waited in vain for {part:?}; the screen:\n{}", self.screen());
            self.resize(columns + 1, rows);
            self.resize(columns, rows);
            while let Ok(chunk) = self.chunks.recv_timeout(Duration::from_millis(100)) {
                self.screen.extend(chunk);
            }
        }
    }

    /// Waits for the end of the program: its exit code, and all that the screen showed.
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn finish(mut self) -> (i32, String) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.chunks.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(chunk) => self.screen.extend(chunk),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                    let _ = self.child.kill();
                    panic!("it does not end; the screen:\n{}", self.screen());
                }
            }
        }
        let status = self.child.wait().expect("a child to wait for");
        (status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)), self.screen())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resize(master: &OwnedFd, columns: u16, rows: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(master, size).expect("a size");
}
