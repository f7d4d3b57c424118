//! The instructions of one stage, one by one.

use std::sync::Arc;

use images::{Digest, NewLayer, Platform};
use serde_json::{Value, json};

use super::cache;
use super::copying::{self, CopyStep};
use super::dockerfile::{self, Base, Command, Healthcheck, Instruction, Kind};
use super::failure::{BuildError, BuildFailed};
use super::job::{Job, Shown};
use super::run::RunStep;
use super::state::State;

/// Builds the stage `at`, whose needs are there.
pub(super) fn build(job: &Job<'_>, at: usize, platform: &Platform) -> Result<State, BuildFailed> {
    let stage = &job.file.stages[at];
    let failed = |error| BuildFailed { at: Some(stage.lines), about: Some(stage.from.image.clone()), error };
    let mut builder = Builder {
        job,
        at,
        steps: 1 + steps(&stage.instructions),
        step: 1,
        state: State::scratch(platform, job.file.directives.escape),
    };
    builder.begin(platform).map_err(failed)?;
    builder.triggers().map_err(failed)?;
    for instruction in &stage.instructions {
        if job.is_stopped() {
            return Err(BuildFailed { at: Some(instruction.lines), about: None, error: BuildError::Canceled });
        }
        let done = builder.instruction(&instruction.kind, &instruction.text);
        done.map_err(|error| BuildFailed { at: Some(instruction.lines), about: about(&error), error })?;
    }
    Ok(builder.state)
}

/// Instructions that are shown as steps.
fn steps(instructions: &[Instruction]) -> usize {
    let shown = |kind: &Kind| matches!(kind, Kind::Run(_) | Kind::Copy(_) | Kind::Add(_) | Kind::Workdir(_));
    instructions.iter().filter(|instruction| shown(&instruction.kind)).count()
}

/// The words of the instruction that an error is about.
fn about(error: &BuildError) -> Option<String> {
    match error {
        BuildError::Missing { what, .. } => Some(what.trim_start_matches('/').to_owned()),
        _ => None,
    }
}

struct Builder<'a> {
    job: &'a Job<'a>,
    at: usize,
    steps: usize,
    step: usize,
    state: State,
}

impl Builder<'_> {
    /// `FROM`.
    fn begin(&mut self, platform: &Platform) -> Result<(), BuildError> {
        let job = self.job;
        let escape = job.file.directives.escape;
        let own = job.stages.platforms[self.at].as_deref().map(|text| text.parse::<Platform>());
        let own = own.transpose().map_err(|error| BuildError::Invalid(format!("--platform: {error}")))?;
        match job.base_of(self.at) {
            Base::Scratch => self.state = State::scratch(own.as_ref().unwrap_or(platform), escape),
            Base::Stage(earlier) => self.state = job.stage(*earlier)?.next_stage(),
            Base::Image(name) => {
                let shown = job.shown(&format!("{} FROM {name}", self.prefix()));
                match job.base(name, own.as_ref()) {
                    Ok(base) => self.state = base.next_stage(),
                    Err(error) => {
                        shown.failed(&error.to_string());
                        return Err(error);
                    }
                }
                shown.done();
            }
        }
        Ok(())
    }

    /// What the image wants to be done first by whoever builds on it.
    fn triggers(&mut self) -> Result<(), BuildError> {
        for text in self.state.take_triggers() {
            let kind = dockerfile::trigger(&text, self.job.file.directives.escape);
            let kind = kind.map_err(|problem| BuildError::Invalid(format!("ONBUILD {text}: {problem}")))?;
            self.instruction(&kind, &text)?;
        }
        Ok(())
    }

    /// `[build 2/4]`.
    fn prefix(&self) -> String {
        let name = match self.job.file.stages.len() {
            1 => String::new(),
            _ => format!("{} ", dockerfile::shown(self.job.file, self.at)),
        };
        let platform = self.job.request.platform.as_ref().filter(|_| self.job.request.says_platform);
        let platform = platform.map(|platform| format!("{platform} ")).unwrap_or_default();
        format!("[{platform}{name}{}/{}]", self.step, self.steps)
    }

    fn instruction(&mut self, kind: &Kind, text: &str) -> Result<(), BuildError> {
        match kind {
            Kind::Run(run) => {
                let step = RunStep::new(self.job, &self.state, run)?;
                let by = step.created_by.clone();
                self.layer(
                    text,
                    &by,
                    |job, state| step.key(job, state),
                    |job, state, shown| Ok(step.run(job, state, shown)?.into_layer(&job.layer_options())?),
                )
            }
            Kind::Copy(copy) => self.copy(&CopyStep::new(&self.state, copy, false)?, text),
            Kind::Add(copy) => self.copy(&CopyStep::new(&self.state, copy, true)?, text),
            Kind::Workdir(path) => {
                let path = self.state.absolute(&self.expand(path)?);
                self.state.set("WorkingDir", json!(path));
                let by = format!("WORKDIR {path}");
                let key = |job: &Job<'_>, state: &State| Ok(copying::workdir_key(job, state, &path));
                self.layer(text, &by, key, |job, state, _| copying::workdir(job, state, &path))
            }
            other => {
                let by = self.config(other)?;
                if let Some(by) = by {
                    let created = self.job.created_or(self.state.made.as_deref());
                    self.state.history(&created, &by, true);
                }
                Ok(())
            }
        }
    }

    fn copy(&mut self, step: &CopyStep, text: &str) -> Result<(), BuildError> {
        let by = step.created_by.clone();
        self.layer(text, &by, |job, state| step.key(job, state), |job, state, _| step.run(job, state))
    }

    /// A step that makes a layer: from the cache, or made now and remembered.
    fn layer(
        &mut self,
        text: &str,
        by: &str,
        key: impl FnOnce(&Job<'_>, &State) -> Result<Digest, BuildError>,
        make: impl FnOnce(&Job<'_>, &State, &Shown<'_>) -> Result<Option<NewLayer>, BuildError>,
    ) -> Result<(), BuildError> {
        let job = self.job;
        self.step += 1;
        let shown = job.shown(&format!("{} {}", self.prefix(), one_line(text)));
        let made = self.made(&shown, text, key, make);
        match &made {
            Ok(_) => {}
            Err(BuildError::Canceled) => shown.canceled(),
            Err(error) => shown.failed(&error.to_string()),
        }
        let (empty, created) = made?;
        self.state.history(&created, by, empty);
        if !empty {
            self.state.made = Some(created);
        }
        Ok(())
    }

    /// Answers whether there is no layer, and when it was made.
    fn made(
        &mut self,
        shown: &Shown<'_>,
        text: &str,
        key: impl FnOnce(&Job<'_>, &State) -> Result<Digest, BuildError>,
        make: impl FnOnce(&Job<'_>, &State, &Shown<'_>) -> Result<Option<NewLayer>, BuildError>,
    ) -> Result<(bool, String), BuildError> {
        let job = self.job;
        let key = key(job, &self.state)?;
        let images = job.engine.images();
        let known = match self.may_use_cache() {
            true => images.cached(&key)?.or_else(|| cache::elsewhere(job, &job.request.caches, &key, shown)),
            false => None,
        };
        if let Some(cached) = known {
            shown.cached();
            let created = job.created_or(Some(&cached.created));
            job.steps.add(key, cached.layer.clone(), &self.state, one_line(text), &cached.created);
            let Some(layer) = cached.layer else { return Ok((true, created)) };
            self.state.push(layer, Arc::new(cached.lease));
            return Ok((false, created));
        }
        let made = make(job, &self.state, shown)?;
        let created = job.created();
        if !job.request.forgetful {
            images.remember(&key, made.as_ref().map(|made| &made.layer), &one_line(text), &created)?;
        }
        job.steps.add(key, cache::layer_of(made.as_ref()), &self.state, one_line(text), &created);
        shown.done();
        let Some(made) = made else { return Ok((true, created)) };
        let layer = made.layer.clone();
        self.state.push(layer, job.held(made));
        Ok((false, created))
    }

    fn may_use_cache(&self) -> bool {
        let request = self.job.request;
        let named = |name: &String| dockerfile::find(self.job.file, name) == Some(self.at);
        self.job.uses_cache() && !request.no_cache_filter.iter().any(named)
    }

    fn expand(&self, word: &str) -> Result<String, BuildError> {
        self.state.scope.expand(word).map_err(BuildError::Invalid)
    }

    /// Instructions that change no file. Answers what the history says.
    fn config(&mut self, kind: &Kind) -> Result<Option<String>, BuildError> {
        let invalid = |problem: &str| Err(BuildError::Invalid(problem.to_owned()));
        let by = match kind {
            Kind::Arg(pairs) => {
                for (name, default) in pairs {
                    let name = self.expand(name)?;
                    self.state.scope.declare(&name, default.as_deref(), self.job.globals).map_err(BuildError::Invalid)?;
                }
                let pair = |(name, value): &(String, Option<String>)| {
                    let own = self.state.scope.args.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.clone());
                    own.or_else(|| value.clone()).map_or_else(|| name.clone(), |value| format!("{name}={value}"))
                };
                format!("ARG {}", pairs.iter().map(pair).collect::<Vec<_>>().join(" "))
            }
            Kind::Env(pairs) => {
                let pairs = self.pairs(pairs)?;
                pairs.iter().for_each(|(name, value)| self.state.set_env(name, value));
                format!("ENV {}", joined(&pairs))
            }
            Kind::Label(pairs) => {
                let pairs = self.pairs(pairs)?;
                self.state.add("Labels", pairs.iter().map(|(name, value)| (name.clone(), json!(value))));
                format!("LABEL {}", joined(&pairs))
            }
            Kind::Cmd(command) => {
                let words = self.command(command);
                self.state.set("Cmd", json!(words));
                self.state.own_cmd = true;
                format!("CMD {}", quoted(&words))
            }
            Kind::Entrypoint(command) => {
                let words = self.command(command);
                self.state.set("Entrypoint", json!(words));
                // What the image below it has is for another program.
                if !self.state.own_cmd {
                    self.state.config().remove("Cmd");
                }
                format!("ENTRYPOINT {}", quoted(&words))
            }
            Kind::Expose(text) => {
                let words = self.state.scope.expand_all(text).map_err(BuildError::Invalid)?;
                let ports =
                    words.iter().map(|word| ports(word)).collect::<Result<Vec<_>, _>>().map_err(BuildError::Invalid)?.concat();
                let by = format!("EXPOSE [{}]", ports.join(" "));
                self.state.add("ExposedPorts", ports.into_iter().map(|port| (port, json!({}))));
                by
            }
            Kind::Volume(words) => {
                let words = words.iter().map(|word| self.expand(word)).collect::<Result<Vec<_>, _>>()?;
                if words.iter().any(|word| word.trim().is_empty()) {
                    return invalid("VOLUME specified can not be an empty string");
                }
                self.state.add("Volumes", words.iter().map(|word| (word.clone(), json!({}))));
                format!("VOLUME [{}]", words.join(" "))
            }
            Kind::User(user) => {
                let user = self.expand(user)?;
                self.state.set("User", json!(user));
                format!("USER {user}")
            }
            Kind::Healthcheck(check) => {
                let value = self.healthcheck(check);
                let by = format!("HEALTHCHECK {value}");
                self.state.set("Healthcheck", value);
                by
            }
            Kind::Shell(words) => {
                self.state.set("Shell", json!(words));
                format!("SHELL [{}]", words.join(" "))
            }
            Kind::StopSignal(signal) => {
                let signal = self.expand(signal)?;
                crate::parse_signal(&signal)?;
                self.state.set("StopSignal", json!(signal));
                format!("STOPSIGNAL {signal}")
            }
            Kind::OnBuild(text) => {
                let value = self.state.config().entry("OnBuild").or_insert_with(|| json!([]));
                match value {
                    Value::Array(triggers) => triggers.push(json!(text)),
                    other => *other = json!([text]),
                }
                format!("ONBUILD {text}")
            }
            Kind::Maintainer(name) => {
                let name = self.expand(name)?;
                self.state.document.insert("author".to_owned(), json!(name));
                format!("MAINTAINER {name}")
            }
            Kind::From(_) | Kind::Run(_) | Kind::Copy(_) | Kind::Add(_) | Kind::Workdir(_) => return Ok(None),
        };
        Ok(Some(by))
    }

    /// Names and values, all with the variables from before the instruction.
    fn pairs(&self, pairs: &[(String, String)]) -> Result<Vec<(String, String)>, BuildError> {
        pairs.iter().map(|(name, value)| Ok((self.expand(name)?, self.expand(value)?))).collect()
    }

    fn command(&self, command: &Command) -> Vec<String> {
        match command {
            Command::Exec(words) => words.clone(),
            Command::Shell(line) if line.is_empty() => Vec::new(),
            Command::Shell(line) => self.state.shell().into_iter().chain([line.clone()]).collect(),
        }
    }

    fn healthcheck(&self, check: &Healthcheck) -> Value {
        let test = match &check.command {
            None => vec!["NONE".to_owned()],
            Some(Command::Shell(line)) => vec!["CMD-SHELL".to_owned(), line.clone()],
            Some(Command::Exec(words)) => ["CMD".to_owned()].into_iter().chain(words.iter().cloned()).collect(),
        };
        let mut value = json!({"Test": test});
        let times = [
            ("Interval", check.interval),
            ("Timeout", check.timeout),
            ("StartPeriod", check.start_period),
            ("StartInterval", check.start_interval),
        ];
        for (name, time) in times.into_iter().filter_map(|(name, time)| Some((name, time?))) {
            value[name] = json!(time.as_nanos() as u64);
        }
        if let Some(retries) = check.retries {
            value["Retries"] = json!(retries);
        }
        value
    }
}

fn joined(pairs: &[(String, String)]) -> String {
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

/// `["a" "b"]`, as Docker's history has it.
fn quoted(words: &[String]) -> String {
    let words: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
    format!("[{}]", words.join(" "))
}

/// An instruction as a step is called.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `80`, `53/udp`, `8000-8002/tcp`.
fn ports(word: &str) -> Result<Vec<String>, String> {
    let wrong = |why: &str| format!("invalid containerPort {word:?}: {why}");
    let (range, protocol) = word.split_once('/').unwrap_or((word, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(wrong("the protocol is not tcp, udp or sctp"));
    }
    // What is published where is said when a container is made.
    let range = range.rsplit(':').next().unwrap_or(range);
    let port =
        |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(|| wrong("a port is a number from 1 to 65535"));
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last) = (port(first)?, port(last)?);
    if first > last {
        return Err(wrong("the range runs backwards"));
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exposed_ports() {
        assert_eq!(ports("80").unwrap(), ["80/tcp"]);
        assert_eq!(ports("53/UDP").unwrap(), ["53/udp"]);
        assert_eq!(ports("8000-8002/sctp").unwrap(), ["8000/sctp", "8001/sctp", "8002/sctp"]);
        for wrong in ["0", "x", "70000", "9-8", "1/icmp", ""] {
            assert!(ports(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn as_the_history_has_it() {
        assert_eq!(quoted(&["node".to_owned(), "app.js".to_owned()]), "[\"node\" \"app.js\"]");
        assert_eq!(one_line("RUN a   b\tc"), "RUN a b c");
    }
}
