//! `events`: what has happened, and what happens. See `monitor::Happened` for the file.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use monitor::{Actor, Happened, append_event, event_file_before};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use sys::Call;

use crate::config::Config;
use crate::error::During;
use crate::{Engine, Error, Nanos, Record};

/// Which events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventOptions {
    /// From then on; from now on without it.
    pub since: Option<Nanos>,
    /// Up to then; without end without it.
    pub until: Option<Nanos>,
}

/// Events as they are read, or happen.
#[derive(Debug)]
pub struct Events {
    path: PathBuf,
    options: EventOptions,
    changes: OwnedFd,
    /// The present file, and whether it is the one before.
    reader: Option<BufReader<File>>,
    old: bool,
    /// The beginning of a line whose rest has not been read.
    line: String,
    /// Whoever reads has had enough when it is readable.
    enough: Option<OwnedFd>,
}

impl Engine {
    /// Notes an event about something that is no container. A full tmpfs is no reason not to do what was asked.
    pub fn note(&self, kind: &str, action: &str, actor: Actor) {
        note(&self.config, kind, action, actor);
    }

    /// Notes an event about a container, with what belongs to it.
    pub(crate) fn told(&self, record: &Record, action: &str, more: &[(&str, &str)]) {
        self.told_all(record, &[action], more);
    }

    /// Several of them in a row.
    pub(crate) fn told_all(&self, record: &Record, actions: &[&str], more: &[(&str, &str)]) {
        let mut actor = actor(record);
        actor.attributes.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let all: Vec<_> = actions.iter().map(|action| Happened::now("container", action, actor.clone())).collect();
        let _ = append_event(&self.config.events(), &all);
    }

    /// Reads events.
    ///
    /// # Errors
    /// They cannot be watched for.
    pub fn events(&self, options: EventOptions) -> Result<Events, Error> {
        let path = self.config.events();
        let changes =
            inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).call(|| "inotify_init1()").during(|| "watch events")?;
        let flags = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_FROM;
        inotify::add_watch(&changes, &self.config.run, flags).call(|| "inotify_add_watch(run)").during(|| "watch events")?;
        let options = EventOptions { since: options.since.or(Some(monitor::now())), ..options };
        Ok(Events { path, options, changes, reader: None, old: true, line: String::new(), enough: None })
    }
}

/// [`Engine::note`].
pub(crate) fn note(config: &Config, kind: &str, action: &str, actor: Actor) {
    let _ = append_event(&config.events(), &[Happened::now(kind, action, actor)]);
}

/// Something that is no container, with what is told of it.
pub(crate) fn thing(id: &str, more: &[(&str, &str)]) -> Actor {
    let attributes = more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Actor { id: id.to_owned(), attributes }
}

/// What events say of a container.
pub(crate) fn actor(record: &Record) -> Actor {
    let mut attributes = record.labels.clone();
    attributes.insert("image".to_owned(), record.image.name.clone());
    attributes.insert("name".to_owned(), record.name.clone());
    if let Some(member) = &record.pod {
        attributes.insert("pod".to_owned(), member.pod.clone());
    }
    Actor { id: record.id.clone(), attributes }
}

impl Events {
    /// Ends them when `enough` is readable, or its other end is closed.
    pub fn until(&mut self, enough: OwnedFd) {
        self.enough = Some(enough);
    }

    fn event(&mut self) -> Result<Option<Happened>, Error> {
        loop {
            while let Some(event) = self.read()? {
                let EventOptions { since, until } = self.options;
                if until.is_some_and(|until| event.nanos > until) {
                    return Ok(None);
                }
                if since.is_none_or(|since| event.nanos >= since) {
                    return Ok(Some(event));
                }
            }
            let left = self.options.until.map(|until| until.saturating_sub(monitor::now()));
            if left == Some(0) {
                return Ok(None);
            }
            if !self.wait(left)? {
                return Ok(None);
            }
        }
    }

    /// The next whole line; `None` when there is none yet.
    fn read(&mut self) -> Result<Option<Happened>, Error> {
        loop {
            let Some(reader) = &mut self.reader else {
                let path = if self.old { event_file_before(&self.path) } else { self.path.clone() };
                match File::open(&path) {
                    Ok(file) => self.reader = Some(BufReader::new(file)),
                    Err(_) if self.old => self.old = false,
                    // Nothing has happened.
                    Err(_) => return Ok(None),
                }
                continue;
            };
            let read = reader.read_line(&mut self.line).call(|| "read(events)").during(|| "read events")?;
            if read > 0 && self.line.ends_with('\n') {
                let line = std::mem::take(&mut self.line);
                // A line of another version says nothing to this one.
                match serde_json::from_str(&line) {
                    Ok(event) => return Ok(Some(event)),
                    Err(_) => continue,
                }
            }
            if read > 0 {
                return Ok(None);
            }
            // The end of this file. Is it still the one that is written to?
            let own = reader.get_ref().metadata().map(|data| (data.dev(), data.ino())).ok();
            let now = std::fs::metadata(&self.path).map(|data| (data.dev(), data.ino())).ok();
            if !self.old && (own == now || now.is_none()) {
                return Ok(None);
            }
            (self.reader, self.old) = (None, false);
            self.line.clear();
        }
    }

    /// Waits until something is written, at most so many nanoseconds. False when whoever reads has had enough.
    fn wait(&self, left: Option<Nanos>) -> Result<bool, Error> {
        let limit = left.map(|left| Timespec { tv_sec: (left / 1_000_000_000) as i64, tv_nsec: (left % 1_000_000_000) as i64 });
        let enough = self.enough.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN));
        let mut fds: Vec<PollFd<'_>> = [PollFd::new(&self.changes, PollFlags::IN)].into_iter().chain(enough).collect();
        match poll(&mut fds, limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).call(|| "poll(inotify)").during(|| "watch events"),
        }
        let mut seen = [0; 4096];
        while rustix::io::read(&self.changes, &mut seen).is_ok_and(|length| length > 0) {}
        Ok(fds.get(1).is_none_or(|fd| fd.revents().is_empty()))
    }
}

impl Iterator for Events {
    type Item = Result<Happened, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.event().transpose()
    }
}
