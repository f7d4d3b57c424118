//! Tokens: what was asked for on the authenticated side is done for whoever shows the token first, once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a token works.
const LIFE: Duration = Duration::from_secs(60);

/// Tokens that wait at once.
const WAITING: usize = 1000;

/// Which streams there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Streams {
    /// The client sends standard input.
    pub stdin: bool,
    /// The client hears standard output.
    pub stdout: bool,
    /// The client hears standard error.
    pub stderr: bool,
    /// There is a terminal.
    pub tty: bool,
}

/// What to do on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// Run a program in a container.
    Exec {
        /// The container.
        container: String,
        /// Program and arguments.
        command: Vec<String>,
        /// Its streams.
        streams: Streams,
    },
    /// Join a container's streams.
    Attach {
        /// The container.
        container: String,
        /// Which ones.
        streams: Streams,
    },
    /// Reach ports of a pod.
    Forward {
        /// The pod.
        pod: String,
        /// The ports, for clients that do not name them on each stream.
        ports: Vec<u16>,
    },
}

impl Job {
    /// The first part of its address.
    pub(crate) fn verb(&self) -> &'static str {
        match self {
            Job::Exec { .. } => "exec",
            Job::Attach { .. } => "attach",
            Job::Forward { .. } => "portforward",
        }
    }
}

/// Too many clients have asked for an address and never come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many streams are waiting for their clients: {WAITING}")]
pub struct Full;

/// What waits for a client.
#[derive(Debug)]
pub struct Jobs {
    base: String,
    waiting: Mutex<HashMap<String, (Job, Instant)>>,
}

impl Jobs {
    /// None yet. `base` is what addresses begin with: scheme, host and port.
    pub fn new(base: &str) -> Jobs {
        Jobs { base: base.trim_end_matches('/').to_owned(), waiting: Mutex::default() }
    }

    /// The address where `job` will be done, once, within a minute.
    ///
    /// # Errors
    /// [`Full`]
    pub fn address(&self, job: Job) -> Result<String, Full> {
        let token = token();
        let address = format!("{}/{}/{token}", self.base, job.verb());
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= WAITING {
            waiting.retain(|_, (_, made)| made.elapsed() < LIFE);
        }
        if waiting.len() >= WAITING {
            return Err(Full);
        }
        waiting.insert(token, (job, Instant::now()));
        Ok(address)
    }

    /// Takes the job that a token stands for; the token is used up, whatever comes of it.
    pub(crate) fn take(&self, verb: &str, token: &str) -> Option<Job> {
        let (job, made) = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(token)?;
        (made.elapsed() < LIFE && job.verb() == verb).then_some(job)
    }
}

/// 16 random bytes: nobody on the host guesses another's stream.
fn token() -> String {
    let mut bytes = [0u8; 16];
    #[expect(
        clippy::expect_used,
        reason = "the kernel's random numbers do not fail once there are any, and a guessable token must not be"
    )]
    getrandom::fill(&mut bytes).expect("random bytes from the kernel");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        Job::Attach { container: "c".to_owned(), streams: Streams::default() }
    }

    #[test]
    fn a_token_works_once_and_for_its_verb() {
        let jobs = Jobs::new("http://127.0.0.1:1/");
        let token = |address: String| address.strip_prefix("http://127.0.0.1:1/attach/").unwrap().to_owned();
        let first = token(jobs.address(job()).unwrap());
        assert_eq!(first.len(), 32);
        assert_eq!(jobs.take("attach", &first), Some(job()));
        assert_eq!(jobs.take("attach", &first), None);
        let second = token(jobs.address(job()).unwrap());
        assert_eq!(jobs.take("exec", &second), None);
        assert_eq!(jobs.take("attach", &second), None, "a wrong use is a use");
    }

    #[test]
    fn there_is_an_end_to_waiting_ones() {
        let jobs = Jobs::new("");
        for _ in 0..WAITING {
            jobs.address(job()).unwrap();
        }
        assert_eq!(jobs.address(job()), Err(Full));
        for (_, made) in jobs.waiting.lock().unwrap().values_mut() {
            *made = Instant::now() - LIFE;
        }
        assert!(jobs.address(job()).is_ok());
        assert_eq!(jobs.waiting.lock().unwrap().len(), 1);
    }
}
