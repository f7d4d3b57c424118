//! What is tried again and again: what is wrong is said once until that changes, and the pauses grow.

use std::error::Error;
use std::time::{Duration, Instant};

use super::log::{Level, say};

/// The first pause.
const SHORTEST: Duration = Duration::from_millis(100);

/// What went on for so long since the last failure has worked meanwhile.
const LONG: Duration = Duration::from_secs(60);

/// Something that does not work, or did so the last time.
#[derive(Debug)]
pub(crate) struct Retry {
    longest: Duration,
    pause: Duration,
    /// What is wrong, as it was said, and until when it was waited since.
    said: Option<(String, Instant)>,
}

impl Retry {
    /// Pauses are never longer than this.
    pub(crate) fn new(longest: Duration) -> Retry {
        Retry { longest, pause: SHORTEST, said: None }
    }

    /// It works: what comes next is news, and is tried again soon.
    pub(crate) fn works(&mut self) {
        (self.pause, self.said) = (SHORTEST, None);
    }

    /// It did not work: says so if that is news, and answers how long to wait.
    pub(crate) fn failed(&mut self, what: &str, error: &(dyn Error + 'static)) -> Duration {
        let (pause, news) = self.note(format!("{what}: {}", super::chain(error)), Instant::now());
        if let Some(news) = news {
            say(Level::Warning, news, &[]);
        }
        pause
    }

    fn note(&mut self, text: String, now: Instant) -> (Duration, Option<&str>) {
        if self.said.as_ref().is_some_and(|(_, until)| now >= *until + LONG) {
            self.works();
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(self.longest);
        let is_news = self.said.as_ref().is_none_or(|(said, _)| *said != text);
        let (said, _) = self.said.insert((text, now + pause));
        (pause, is_news.then_some(said))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once() {
        let mut retry = Retry::new(Duration::from_millis(300));
        let begin = Instant::now();
        let mut note = |text: &str, at: u64| {
            let (pause, news) = retry.note(text.to_owned(), begin + Duration::from_secs(at));
            (pause.as_millis(), news.is_some())
        };
        let heard = [("away", 0), ("away", 1), ("forbidden", 2), ("forbidden", 3), ("forbidden", 64)];
        let heard = heard.map(|(text, at)| note(text, at));
        assert_eq!(heard, [(100, true), (200, false), (300, true), (300, false), (100, true)]);
        retry.works();
        assert!(retry.note("forbidden".into(), begin).1.is_some());
    }
}
