//! `logs`: what a container wrote, oldest first, across rotations and as it comes.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use monitor::log::{self, Lines, Reader};
use monitor::{Request, Stream};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify;
use rustix::io::Errno;
use sys::Call;
use sys::fs::open_dir;

use crate::error::During;
use crate::journal::Journal;
use crate::session::Session;
use crate::wait::open_process;
use crate::{Container, Engine, Error, Nanos, names};

/// Which lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Go on until the container ends.
    pub follow: bool,
    /// Only so many of the last lines.
    pub tail: Option<u64>,
    /// Only lines written then or later.
    pub since: Option<Nanos>,
    /// Only lines written then or earlier.
    pub until: Option<Nanos>,
}

/// What a container wrote at once: a line, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When.
    pub time: Nanos,
    /// Where.
    pub stream: Stream,
    /// The line goes on in the next part of this stream; otherwise a newline belongs behind it.
    pub partial: bool,
    /// What.
    pub bytes: Vec<u8>,
}

/// Lines as they are read or, when followed, written.
#[derive(Debug)]
pub struct Logs(From);

#[derive(Debug)]
enum From {
    Files(Box<Files>),
    Journal(Box<Journal>),
}

/// A log in files of ours.
#[derive(Debug)]
struct Files {
    reader: Reader,
    lines: Lines,
    options: LogOptions,
    source: Option<Source>,
}

impl Engine {
    /// Opens the log of a container.
    ///
    /// # Errors
    /// [`Error::NoSuchContainer`].
    pub fn logs(&self, given: &str, options: &LogOptions) -> Result<Logs, Error> {
        let container = self.container(given)?;
        if container.record.tuning.log.none {
            let what = format!("log of container {}", names::short(&container.record));
            return Err(Error::Invalid { what, why: "it keeps none: it was made with --log-driver none".to_owned() });
        }
        if container.record.tuning.log.journal {
            return Ok(Logs(From::Journal(Box::new(Journal::open(self, &container, options)?))));
        }
        let what = || format!("read the log of container {}", names::short(&container.record));
        let elsewhere = container.record.tuning.log.path.as_deref();
        let open = || match elsewhere.and_then(std::path::Path::parent) {
            Some(folder) => open_dir(folder),
            None => open_dir(self.config.container(&container.record.id)).and_then(log::folder),
        };
        let source = if options.follow { Source::new(self, &container, &open().during(what)?)? } else { None };
        let mut reader = match elsewhere.and_then(std::path::Path::file_name) {
            Some(name) => open().and_then(|folder| Reader::named(folder, name)).during(what)?,
            None => open().and_then(Reader::open).during(what)?,
        };
        if let Some(count) = options.tail {
            reader.tail(count).during(what)?;
        }
        Ok(Logs(From::Files(Box::new(Files { reader, lines: Lines::default(), options: *options, source }))))
    }
}

impl Engine {
    /// Lets the container's monitor go on with the log in a new file: the old one was renamed. See [`crate::LogConfig::path`].
    ///
    /// # Errors
    /// [`Error::NotRunning`]; the file cannot be made.
    pub fn reopen_log(&self, given: &str) -> Result<(), Error> {
        let (container, mut session) = self.running(given)?;
        match session.ask(&Request::ReopenLog) {
            // It has ended meanwhile.
            Err(Error::MonitorGone(_)) => Err(Error::NotRunning(names::short(&container.record))),
            other => other,
        }
    }
}

impl Files {
    fn line(&mut self) -> Result<Option<LogLine>, Error> {
        loop {
            while let Some(line) = self.lines.next() {
                let LogOptions { since, until, .. } = self.options;
                if since.is_none_or(|since| line.time >= since) && until.is_none_or(|until| line.time <= until) {
                    let log::Line { time, stream, partial, bytes } = line;
                    return Ok(Some(LogLine { time, stream, partial, bytes: bytes.to_owned() }));
                }
            }
            match self.reader.read().during(|| "read the log")? {
                Some(bytes) => self.lines.push(bytes),
                None => match &self.source {
                    None => return Ok(None),
                    // What it wrote before its end may have come after the last look.
                    Some(source) => match source.wait()? {
                        Waited::More => {}
                        Waited::Ended => self.source = None,
                        Waited::Enough => return Ok(None),
                    },
                },
            }
        }
    }
}

impl Logs {
    /// Stops following when `enough` is readable, or its other end is closed.
    pub fn until(&mut self, enough: OwnedFd) {
        match &mut self.0 {
            From::Files(files) => {
                if let Some(source) = &mut files.source {
                    source.enough = Some(enough);
                }
            }
            From::Journal(journal) => journal.until(enough),
        }
    }

    /// Whether the next line may be had without waiting.
    pub fn is_at_hand(&self) -> bool {
        match &self.0 {
            From::Files(files) => files.lines.is_at_hand(),
            From::Journal(_) => false,
        }
    }
}

impl Iterator for Logs {
    type Item = Result<LogLine, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            From::Files(files) => files.line().transpose(),
            From::Journal(journal) => journal.next().transpose(),
        }
    }
}

/// Where more may come from: changes in the log's folder, until the container ends.
#[derive(Debug)]
struct Source {
    changes: OwnedFd,
    end: End,
    /// Whoever reads has had enough when it is readable.
    enough: Option<OwnedFd>,
}

/// Why a wait is over.
enum Waited {
    More,
    Ended,
    Enough,
}

/// What is readable when a container has ended.
#[derive(Debug)]
pub(crate) enum End {
    Monitor(Session),
    Process(OwnedFd),
}

impl End {
    /// `None` for a container that does not run.
    pub(crate) fn of(engine: &Engine, container: &Container) -> Result<Option<End>, Error> {
        Ok(match engine.connect(&container.record.id)? {
            Some(session) => session.send(&Request::Wait, &[]).is_ok().then_some(End::Monitor(session)),
            None => open_process(container).map(End::Process),
        })
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            End::Monitor(session) => session.as_fd(),
            End::Process(process) => process.as_fd(),
        }
    }
}

impl Source {
    /// `None` for a container that does not run. The watch begins before the first byte is read, so nothing is missed.
    fn new(engine: &Engine, container: &Container, folder: &OwnedFd) -> Result<Option<Source>, Error> {
        use std::os::fd::AsRawFd;
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let changes = inotify::init(flags).call(|| "inotify_init1()").during(|| "follow the log")?;
        let path = format!("/proc/self/fd/{}", folder.as_raw_fd());
        let events = inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
        inotify::add_watch(&changes, path.as_str(), events).call(|| "inotify_add_watch(log)").during(|| "follow the log")?;
        Ok(End::of(engine, container)?.map(|end| Source { changes, end, enough: None }))
    }

    /// Waits until there may be more, or the container has ended.
    fn wait(&self) -> Result<Waited, Error> {
        let enough = self.enough.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN));
        let own = [PollFd::new(&self.changes, PollFlags::IN), PollFd::from_borrowed_fd(self.end.as_fd(), PollFlags::IN)];
        let mut fds: Vec<PollFd<'_>> = own.into_iter().chain(enough).collect();
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).call(|| "poll(inotify, monitor)").during(|| "follow the log"),
        }
        let happened = |at: usize| fds.get(at).is_some_and(|fd| !fd.revents().is_empty());
        let waited = match (happened(2), happened(1)) {
            (true, _) => Waited::Enough,
            (_, true) => Waited::Ended,
            _ => Waited::More,
        };
        let mut seen = [0; 4096];
        while rustix::io::read(&self.changes, &mut seen).is_ok_and(|length| length > 0) {}
        Ok(waited)
    }
}
