//! Events as Kubernetes' clients write them: equal ones are one with a count, many alike are one, and nobody is flooded.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};

/// So many events that differ by their words alone are told in so many seconds; those after are one.
const ALIKE: usize = 10;
const ALIKE_WITHIN: i64 = 600;
/// So many events about one object are told at once, and one more each so many seconds.
const BURST: i64 = 25;
const REFILL: i64 = 300;
/// What is remembered.
const MOST: usize = 4096;

/// What happened.
#[derive(Debug, Clone, Copy)]
pub struct Happened<'a> {
    /// To which object (`involvedObject`).
    pub about: &'a Value,
    /// Normal or Warning.
    pub level: &'a str,
    /// One word.
    pub reason: &'a str,
    /// The words.
    pub message: &'a str,
    /// The program that tells (`source.component`).
    pub component: &'a str,
    /// The node that it is on; empty for none.
    pub host: &'a str,
}

/// How it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The event's name: a new one, or that of an equal one.
    pub name: String,
    /// The words.
    pub message: String,
    /// How often it has happened.
    pub count: i32,
    first: Timestamp,
    last: Timestamp,
}

/// What was told lately.
#[derive(Debug, Default)]
pub struct Correlator(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    told: HashMap<String, Told>,
    alike: HashMap<String, (Timestamp, HashSet<String>)>,
    /// Events that may still be told of an object, and since when.
    budgets: HashMap<String, (i64, Timestamp)>,
    /// Names are numbers of nanoseconds, each one once.
    number: i128,
}

impl Correlator {
    /// How an event is told; nothing for one too many.
    pub fn tell(&self, happened: &Happened<'_>, now: Timestamp) -> Option<Told> {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        memory.forget(now);
        let key = |more: &[&str]| json!([happened.about_key(), happened.component, happened.host, more]).to_string();
        let alike = key(&[happened.level, happened.reason]);
        let (message, equal) = match memory.is_one_of_many(&alike, happened.message, now) {
            true => (format!("(combined from similar events): {}", happened.message), alike),
            false => (happened.message.to_owned(), key(&[happened.level, happened.reason, happened.message])),
        };
        if !memory.may_tell(key(&[]), now) {
            return None;
        }
        let told = match memory.told.get(&equal) {
            Some(before) => Told { message, count: before.count.saturating_add(1), last: now, ..before.clone() },
            None => {
                memory.number = now.as_nanosecond().max(memory.number + 1);
                let name = happened.about["name"].as_str().unwrap_or("");
                Told { name: format!("{name}.{:x}", memory.number), message, count: 1, first: now, last: now }
            }
        };
        memory.told.insert(equal, told.clone());
        Some(told)
    }
}

impl Happened<'_> {
    fn about_key(&self) -> Vec<&str> {
        ["kind", "namespace", "name", "uid", "apiVersion"].iter().map(|field| self.about[*field].as_str().unwrap_or("")).collect()
    }

    /// The namespace that its event is in.
    pub fn namespace(&self) -> &str {
        self.about["namespace"].as_str().filter(|n| !n.is_empty()).unwrap_or("default")
    }
}

impl Told {
    /// The event as an object.
    pub fn object(&self, happened: &Happened<'_>) -> Value {
        let mut source = json!({"component": happened.component});
        if !happened.host.is_empty() {
            source["host"] = happened.host.into();
        }
        json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": self.name, "namespace": happened.namespace()},
            "involvedObject": happened.about, "type": happened.level, "reason": happened.reason, "message": self.message,
            "firstTimestamp": time(self.first), "lastTimestamp": time(self.last), "count": self.count, "source": source,
            "reportingComponent": happened.component, "reportingInstance": happened.host})
    }

    /// A merge patch of the event that was there before.
    pub fn patch(&self) -> Value {
        json!({"count": self.count, "lastTimestamp": time(self.last), "message": self.message})
    }
}

fn time(at: Timestamp) -> String {
    api::meta::Time(at).to_string()
}

fn seconds(from: Timestamp, to: Timestamp) -> i64 {
    to.as_second() - from.as_second()
}

impl Memory {
    fn forget(&mut self, now: Timestamp) {
        if self.told.len() > MOST {
            self.told.retain(|_, told| seconds(told.last, now) < ALIKE_WITHIN);
        }
        // more than that in so short a time: their counts begin anew
        if self.told.len() > MOST {
            self.told.clear();
        }
        if self.alike.len() > MOST {
            self.alike.retain(|_, (last, _)| seconds(*last, now) < ALIKE_WITHIN);
        }
        if self.budgets.len() > MOST {
            self.budgets.retain(|_, (left, since)| *left + seconds(*since, now) / REFILL < BURST);
        }
    }

    fn is_one_of_many(&mut self, alike: &str, message: &str, now: Timestamp) -> bool {
        let (last, messages) = self.alike.entry(alike.to_owned()).or_insert_with(|| (now, HashSet::new()));
        if seconds(*last, now) > ALIKE_WITHIN {
            messages.clear();
        }
        *last = now;
        if messages.contains(message) {
            return false;
        }
        if messages.len() < ALIKE {
            messages.insert(message.to_owned());
            return false;
        }
        true
    }

    fn may_tell(&mut self, key: String, now: Timestamp) -> bool {
        let (left, since) = self.budgets.entry(key).or_insert((BURST, now));
        let more = seconds(*since, now) / REFILL;
        if more > 0 {
            *left = (*left + more).min(BURST);
            *since = now;
        }
        if *left > 0 {
            *left -= 1;
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn happened<'a>(about: &'a Value, reason: &'a str, message: &'a str) -> Happened<'a> {
        Happened { about, level: "Warning", reason, message, component: "noded", host: "" }
    }

    fn pod(name: &str) -> Value {
        json!({"kind": "Pod", "namespace": "d", "name": name, "uid": name})
    }

    #[test]
    fn equal_events_are_one() {
        let (correlator, p, q) = (Correlator::default(), pod("p"), pod("q"));
        let first = correlator.tell(&happened(&p, "BackOff", "again"), at(10)).unwrap();
        let second = correlator.tell(&happened(&p, "BackOff", "again"), at(20)).unwrap();
        assert_eq!((second.count, &second.name), (2, &first.name));
        assert_eq!(second.patch()["lastTimestamp"], "1970-01-01T00:00:20Z");
        assert_eq!(second.object(&happened(&p, "BackOff", "again"))["firstTimestamp"], "1970-01-01T00:00:10Z");
        for other in [happened(&p, "BackOff", "else"), happened(&p, "Killing", "again"), happened(&q, "BackOff", "again")] {
            let told = correlator.tell(&other, at(20)).unwrap();
            assert!(told.count == 1 && told.name != first.name);
        }
    }

    #[test]
    fn many_alike_are_one() {
        let (correlator, p) = (Correlator::default(), pod("p"));
        let tell = |number: usize| correlator.tell(&happened(&p, "Failed", &format!("{number}")), at(10)).unwrap();
        let names: HashSet<String> = (0..ALIKE).map(|number| tell(number).name).collect();
        assert_eq!(names.len(), ALIKE);
        let (one, more) = (tell(100), tell(101));
        assert_eq!((one.count, more.count, &one.name), (1, 2, &more.name));
        assert_eq!(more.message, "(combined from similar events): 101");
        assert_eq!(tell(3).count, 2, "those that are known stay what they are");
    }

    #[test]
    fn nobody_is_flooded() {
        let (correlator, p, q) = (Correlator::default(), pod("p"), pod("q"));
        let tell = |about: &Value, second| correlator.tell(&happened(about, "Failed", "x"), at(second)).is_some();
        assert_eq!((0..100).filter(|_| tell(&p, 0)).count(), 25);
        assert!(tell(&q, 0), "others have a budget of their own");
        assert!(!tell(&p, 299) && tell(&p, 300) && !tell(&p, 301));
    }
}
