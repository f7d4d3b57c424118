//! Requests and responses of criu's `rpc.proto`.

use super::Options;
use super::wire::{Message, fields};

/// What criu is asked to do (`criu_req_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Write the images of a process and its children, and end them unless they are to run on.
    Dump,
    /// Make the processes anew from images.
    Restore,
    /// Write only what memory has changed, and let them run.
    PreDump,
}

impl Request {
    pub(super) fn number(self) -> i32 {
        match self {
            Request::Dump => 1,
            Request::Restore => 2,
            Request::PreDump => 4,
        }
    }

    /// criu's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Request::Dump => "DUMP",
            Request::Restore => "RESTORE",
            Request::PreDump => "PRE_DUMP",
        }
    }
}

const NOTIFY: i32 = 6;
const FEATURE_CHECK: i32 = 9;
const VERSION: i32 = 10;

/// The bytes of a request, `criu_req`.
pub(super) fn request(what: Request, options: &Options) -> Vec<u8> {
    let mut message = Message::default();
    message.number(1, i64::from(what.number()));
    message.message(2, |inner| options.write(inner));
    message.into_bytes()
}

/// What answers a notification.
pub(super) fn noted(fine: bool) -> Vec<u8> {
    let mut message = Message::default();
    message.number(1, i64::from(NOTIFY));
    message.number(3, i64::from(fine));
    message.into_bytes()
}

/// The question for the version, after which criu waits for more.
pub(super) fn version() -> Vec<u8> {
    question(VERSION, |_| {})
}

/// The question whether these features are there.
pub(super) fn features(asked: Features) -> Vec<u8> {
    question(FEATURE_CHECK, |message| {
        message.message(5, |inner| {
            inner.switch(1, asked.memory_tracking);
            inner.switch(2, asked.lazy_pages);
        });
    })
}

fn question(what: i32, more: impl FnOnce(&mut Message)) -> Vec<u8> {
    let mut message = Message::default();
    message.number(1, i64::from(what));
    message.switch(4, true);
    more(&mut message);
    message.into_bytes()
}

/// A response that says why there will be none of criu's: of who could not become criu.
pub(super) fn failed(why: &str) -> Vec<u8> {
    let mut message = Message::default();
    message.number(1, 0);
    message.number(2, 0);
    message.text(9, why);
    message.into_bytes()
}

/// The version of criu.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(
    /// Major.
    pub i32,
    /// Minor.
    pub i32,
);

/// What criu and this kernel can beside the ordinary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Features {
    /// The kernel tells which memory was written to.
    pub memory_tracking: bool,
    /// Memory can be restored when it is needed.
    pub lazy_pages: bool,
}

/// Something that criu tells while it works, and waits to have noted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notification {
    /// What: `setup-namespaces`, `post-restore`, `orphan-pts-master`, `status-ready` and others (criu(8), "Action scripts").
    pub script: String,
    /// The first process, where it is told.
    pub pid: Option<u32>,
}

/// `criu_resp`.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Response {
    pub(super) what: i32,
    pub(super) success: bool,
    pub(super) notification: Option<Notification>,
    /// criu's word for what went wrong, or a system's error number.
    pub(super) errno: i32,
    /// The first error in its log.
    pub(super) message: String,
    pub(super) features: Features,
    pub(super) version: Version,
}

impl Response {
    pub(super) fn read(bytes: &[u8]) -> Option<Response> {
        let mut read = Response::default();
        for (field, value) in fields(bytes)? {
            match field {
                1 => read.what = value.number(),
                2 => read.success = value.on(),
                5 => read.notification = Some(notification(value.bytes())?),
                7 => read.errno = value.number(),
                8 => read.features = features_of(value.bytes())?,
                9 => read.message = value.text(),
                10 => read.version = version_of(value.bytes())?,
                _ => {}
            }
        }
        Some(read)
    }

    /// criu's name of what it is about.
    pub(super) fn name(&self) -> &'static str {
        let all = [Request::Dump, Request::Restore, Request::PreDump];
        match self.what {
            NOTIFY => "NOTIFY",
            FEATURE_CHECK => "FEATURE_CHECK",
            VERSION => "VERSION",
            what => all.into_iter().find(|known| known.number() == what).map_or("EMPTY", Request::name),
        }
    }
}

/// Whether this is an answer.
#[cfg(any(test, fuzzing))]
pub(crate) fn understood(bytes: &[u8]) -> bool {
    Response::read(bytes).is_some_and(|response| !response.name().is_empty())
}

fn notification(bytes: &[u8]) -> Option<Notification> {
    let mut read = Notification::default();
    for (field, value) in fields(bytes)? {
        match field {
            1 => read.script = value.text(),
            2 => read.pid = u32::try_from(value.number()).ok().filter(|pid| *pid != 0),
            _ => {}
        }
    }
    Some(read)
}

fn features_of(bytes: &[u8]) -> Option<Features> {
    let mut read = Features::default();
    for (field, value) in fields(bytes)? {
        match field {
            1 => read.memory_tracking = value.on(),
            2 => read.lazy_pages = value.on(),
            _ => {}
        }
    }
    Some(read)
}

fn version_of(bytes: &[u8]) -> Option<Version> {
    let mut read = Version::default();
    for (field, value) in fields(bytes)? {
        match field {
            1 => read.0 = value.number(),
            2 => read.1 = value.number(),
            _ => {}
        }
    }
    Some(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As criu 4.2 sends them.
    #[test]
    fn responses_are_read() {
        let version = Response::read(b"\x08\x0a\x10\x01\x52\x06\x08\x04\x10\x02\x20\x01").unwrap();
        assert_eq!((version.name(), version.success, version.version), ("VERSION", true, Version(4, 2)));
        assert!(version.version > Version(3, 15) && Version(3, 9) < Version(3, 15));
        let told = Response::read(b"\x08\x06\x10\x01\x2a\x11\x0a\x0cpost-restore\x10\x93\x01").unwrap();
        assert_eq!(told.notification, Some(Notification { script: "post-restore".into(), pid: Some(147) }));
        let refused = Response::read(&failed("no")).unwrap();
        assert_eq!((refused.name(), refused.success, refused.message.as_str()), ("EMPTY", false, "no"));
        assert_eq!(Response::read(b"\x08\x06\x2a\x02\x0a\x7f"), None, "cut");
    }

    #[test]
    fn questions_keep_the_line_open() {
        assert_eq!(version(), b"\x08\x0a\x20\x01");
        assert_eq!(features(Features { memory_tracking: true, lazy_pages: false }), b"\x08\x09\x20\x01\x2a\x02\x08\x01");
        assert_eq!(noted(true), b"\x08\x06\x18\x01");
    }
}
