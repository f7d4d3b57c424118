//! `POST /build`: the classic builder's request, an archive with the context, as the flags of `rctr build`.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use clap::Parser;
use engine::build::{Report, Stop, Vertex, Watch};
use serde_json::{Map, Value, json};

use super::answer::{Answer, lines};
use super::call::{Call, Query};
use super::create::{Words, refused_line, ulimits};
use super::progress::failed;
use super::refused::bad;
use super::system;
use crate::verbs::build as building;

/// The flags of `build` without a program's name before them.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct Line {
    #[command(flatten)]
    args: building::Args,
}

/// Builds, and streams what it says.
pub(super) fn build(call: &mut Call) -> Result<Answer> {
    if call.query.get("version") == Some("2") {
        return system::no_session(call);
    }
    let Line { args } = Line::try_parse_from(flags(&call.query)?).map_err(|error| bad(refused_line(&error).0))?;
    let (service, archive) = (Arc::clone(&call.service), call.spooled()?);
    let (quiet, tags) = (call.query.is("q"), call.query.all("t").map(str::to_owned).collect::<Vec<_>>());
    lines(move |out| {
        let stop = Stop::new()?;
        let (send, receive) = channel();
        let told = Told(Mutex::new(send));
        let built = std::thread::scope(|scope| {
            let building = scope.spawn(|| {
                // Moved in, so that the lines end with the build.
                let told = told;
                building::of_archive(&service.context, &service.engine, &args, archive, &told, &stop)
            });
            for line in receive {
                // Nobody else waits for what a client that has gone wanted.
                if !quiet && out.document(&line).is_err() {
                    stop.stop();
                }
            }
            building.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        let said = |text: String| json!({ "stream": text });
        match built {
            Err(error) => out.document(&failed(&error))?,
            Ok(image) if quiet => out.document(&said(format!("{}\n", image.id)))?,
            Ok(image) => {
                out.document(&json!({ "aux": { "ID": image.id } }))?;
                out.document(&said(format!("Successfully built {}\n", image.id.short())))?;
                for tag in &tags {
                    out.document(&said(format!("Successfully tagged {tag}\n")))?;
                }
            }
        }
        Ok(())
    })
}

/// Parameters whose value is that of a flag.
const SAME: [(&str, &str); 12] = [
    ("dockerfile", "file"),
    ("target", "target"),
    ("platform", "platform"),
    ("memory", "memory"),
    ("memswap", "memory-swap"),
    ("cpushares", "cpu-shares"),
    ("cpuperiod", "cpu-period"),
    ("cpuquota", "cpu-quota"),
    ("cpusetcpus", "cpuset-cpus"),
    ("cpusetmems", "cpuset-mems"),
    ("cgroupparent", "cgroup-parent"),
    ("shmsize", "shm-size"),
];

/// Parameters that cannot act.
const REFUSED: [&str; 5] = ["remote", "cachefrom", "securityopt", "outputs", "isolation"];

fn flags(query: &Query) -> Result<Vec<String>> {
    let mut words = Words::default();
    let some = |key: &str| query.get(key).filter(|value| !matches!(*value, "0" | "null" | "[]" | "{}" | "false" | "default"));
    if let Some(key) = REFUSED.iter().find(|key| some(key).is_some()) {
        return Err(bad(format!("{key}: it is not supported")));
    }
    for (key, flag) in SAME {
        some(key).into_iter().for_each(|value| words.flag(flag, value));
    }
    query.all("t").filter(|name| !name.is_empty()).for_each(|name| words.flag("tag", name));
    let hosts = query.all("extrahosts").flat_map(|hosts| hosts.split(','));
    hosts.filter(|host| !host.is_empty()).for_each(|host| words.flag("add-host", host));
    for (key, flag) in [("nocache", "no-cache"), ("pull", "pull"), ("squash", "squash")] {
        if query.is(key) {
            words.switch(flag);
        }
    }
    match some("networkmode") {
        None | Some("bridge") => {}
        Some(mode) => words.flag("network", mode),
    }
    for (key, flag) in [("buildargs", "build-arg"), ("labels", "label")] {
        let wrong = |_| bad(format!("{key}: it is no object of texts"));
        let pairs: Map<String, Value> = some(key).map(serde_json::from_str).transpose().map_err(wrong)?.unwrap_or_default();
        for (name, value) in &pairs {
            // An argument that the client has no value for.
            if let Some(value) = value.as_str() {
                words.flag(flag, format!("{name}={value}"));
            }
        }
    }
    if let Some(limits) = some("ulimits") {
        let limits: Value = serde_json::from_str(limits).map_err(|_| bad("ulimits: it is no JSON"))?;
        ulimits(&limits, &mut words).map_err(|why| bad(format!("ulimits: {why}")))?;
    }
    Ok(words.done().into_iter().chain(["--".to_owned(), "-".to_owned()]).collect())
}

/// What a build says, as lines of JSON.
struct Told(Mutex<Sender<Value>>);

impl Told {
    fn say(&self, text: String) {
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).send(json!({ "stream": text }));
    }
}

impl Watch for Told {
    fn report(&self, vertex: &Vertex, report: Report<'_>) {
        match report {
            Report::Begins => self.say(format!("#{} {}\n", vertex.number, vertex.name)),
            Report::Cached => self.say(" ---> Using cache\n".to_owned()),
            Report::Wrote { bytes, .. } => self.say(String::from_utf8_lossy(bytes).into_owned()),
            Report::Says(_) | Report::Done(_) | Report::Failed(_) | Report::Canceled => {}
        }
    }

    fn warn(&self, text: &str) {
        self.say(format!("[Warning] {text}\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_flags() {
        let query = "t=a%3A1&dockerfile=D&buildargs=%7B%22A%22%3A%22b%22%2C%22C%22%3Anull%7D&nocache=1&rm=1&memory=0&labels=%7B%7D\
                     &cachefrom=%5B%5D&networkmode=default&ulimits=%5B%7B%22Name%22%3A%22core%22%2C%22Soft%22%3A0%2C%22Hard%22%3A0%7D%5D";
        let flags = |text: &str| flags(&Query::parse(text)).map_err(|error| error.to_string());
        let expected = ["--file=D", "--tag=a:1", "--no-cache", "--build-arg=A=b", "--ulimit=core=0:0", "--", "-"];
        assert_eq!(flags(query).unwrap(), expected);
        assert!(Line::try_parse_from(expected).is_ok());
        assert_eq!(flags("squash=1&nocache=0").unwrap(), ["--squash", "--", "-"]);
        assert_eq!(flags("remote=http://a/b").unwrap_err(), "remote: it is not supported");
        assert!(flags("buildargs=x").is_err());
    }
}
