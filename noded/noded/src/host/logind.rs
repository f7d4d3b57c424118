//! Shutdowns of the host, as logind announces them (org.freedesktop.login1(5), "Inhibitor Locks"): who holds a delay lock is told first,
//! and has the time that logind's `InhibitDelayMaxSec` gives. Calls block: they are made by a thread.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use container::dbus::{Connection, Failure, Object, Value};
use tokio::sync::mpsc::UnboundedSender;

use super::log::{Level, say};

const MANAGER: Object<'static> =
    Object { name: "org.freedesktop.login1", path: "/org/freedesktop/login1", interface: "org.freedesktop.login1.Manager" };

/// The first pause after something went wrong, and the longest one.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What logind says.
#[derive(Debug)]
pub(crate) enum News {
    /// The host goes down, once this lock is dropped, or when the time is over that logind gives.
    Comes(OwnedFd, Duration),
    /// It does not after all.
    Withdrawn,
}

/// Where the system's broker is: what `DBUS_SYSTEM_BUS_ADDRESS` names, or the usual place.
pub(crate) fn bus() -> PathBuf {
    let named = std::env::var("DBUS_SYSTEM_BUS_ADDRESS").ok();
    let path = named.as_deref().and_then(|address| address.strip_prefix("unix:path="));
    path.unwrap_or("/run/dbus/system_bus_socket").into()
}

/// Tells of shutdowns for ever, in a thread of its own. `wanted` is how long what has to be done then may take.
pub(crate) fn watch(bus: PathBuf, wanted: Duration, tell: UnboundedSender<News>) {
    std::thread::spawn(move || {
        let (mut pause, mut said) = (PAUSES.0, false);
        loop {
            let failure = match follow(&bus, wanted, &tell, &mut pause) {
                Ok(()) => return,
                Err(failure) => failure,
            };
            // A host without logind is told so once.
            if !std::mem::replace(&mut said, matches!(failure, Failure::Absent { .. })) {
                let why = super::chain(&failure);
                say(Level::Notice, &format!("shutdowns of this host are not announced: logind: {why}"), &[]);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSES.1);
        }
    });
}

/// Tells of shutdowns until nobody listens any more.
fn follow(bus: &Path, wanted: Duration, tell: &UnboundedSender<News>, pause: &mut Duration) -> Result<(), Failure> {
    let mut logind = Logind::new(Connection::broker(bus)?)?;
    let mut given = None;
    loop {
        let (lock, longest) = logind.lock()?;
        *pause = PAUSES.0;
        if given.replace(longest) != Some(longest) && longest < wanted {
            let times = format!("{longest:?} to end when this host shuts down, not {wanted:?}");
            say(Level::Warning, &format!("pods have {times}: see InhibitDelayMaxSec in logind.conf(5)"), &[]);
        }
        while !logind.next()? {}
        if tell.send(News::Comes(lock, longest)).is_err() {
            return Ok(());
        }
        while logind.next()? {}
        if tell.send(News::Withdrawn).is_err() {
            return Ok(());
        }
    }
}

/// logind, over a broker.
struct Logind(Connection);

impl Logind {
    fn new(mut bus: Connection) -> Result<Logind, Failure> {
        bus.listen(
            "type='signal',sender='org.freedesktop.login1',interface='org.freedesktop.login1.Manager',member='PrepareForShutdown'",
        )?;
        Ok(Logind(bus))
    }

    /// A lock that delays a shutdown while it is open, and for how long at most.
    fn lock(&mut self) -> Result<(OwnedFd, Duration), Failure> {
        let longest = self.0.property(&MANAGER, "InhibitDelayMaxUSec")?.text("v");
        let longest = longest.parse().map_err(|_| Failure::Nonsense("logind does not say for how long a lock delays"))?;
        let words = ["shutdown", "noded", "Pods are ended first", "delay"].map(Value::string);
        let lock = self.0.ask(&MANAGER, "Inhibit", &words)?.fds.pop();
        let lock = lock.ok_or(Failure::Nonsense("no lock came with logind's answer"))?;
        Ok((lock, Duration::from_micros(longest)))
    }

    /// Waits for the next word: whether the host goes down now.
    fn next(&mut self) -> Result<bool, Failure> {
        loop {
            let signal = self.0.signal(None)?;
            if signal.name == "PrepareForShutdown"
                && let Some([is_so]) = signal.texts("b").as_deref()
            {
                return Ok(is_so == "1");
            }
        }
    }
}
