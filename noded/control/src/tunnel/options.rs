//! What clients say about logs and streams, in the query of their requests. The API server checks it, and the node reads it once more.

use api::status::Status;
use jiff::Timestamp;

use crate::server::Query;

/// Which part of a log, and in which form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Goes on until the container ends.
    pub follow: bool,
    /// Of the container before the one that there is.
    pub previous: bool,
    /// Each line begins with its time.
    pub timestamps: bool,
    /// Only so many of the last lines.
    pub tail: Option<u64>,
    /// Only what was written since, in nanoseconds since 1970.
    pub since: Option<u64>,
    /// Only so many bytes.
    pub limit: Option<u64>,
}

impl LogOptions {
    /// Reads them; `now` is for those that count from it.
    ///
    /// # Errors
    /// 422, with the words of Kubernetes.
    pub fn read(query: &Query, now: Timestamp) -> Result<Self, Status> {
        let number = |name: &str, least: i64| -> Result<Option<u64>, Status> {
            let text = query.text(name);
            if text.is_empty() {
                return Ok(None);
            }
            let given: i64 = text.parse().map_err(|_| Status::bad_request(format!("{name}: {text:?} is not a whole number")))?;
            let why = if least == 0 { "must be greater than or equal to 0" } else { "must be greater than 0" };
            match u64::try_from(given) {
                Ok(number) if given >= least => Ok(Some(number)),
                _ => Err(invalid(&format!("{name}: Invalid value: {given}: {why}"))),
            }
        };
        let seconds = number("sinceSeconds", 1)?;
        let time = Some(query.text("sinceTime")).filter(|text| !text.is_empty());
        let since = match (seconds, time) {
            (Some(_), Some(_)) => {
                return Err(invalid("Invalid value: at most one of `sinceTime` or `sinceSeconds` may be specified"));
            }
            (Some(seconds), None) => Some(nanos(now).saturating_sub(seconds.saturating_mul(1_000_000_000))),
            (None, Some(text)) => {
                let time: Timestamp =
                    text.parse().map_err(|_| Status::bad_request(format!("sinceTime: {text:?} is not a time")))?;
                Some(nanos(time))
            }
            (None, None) => None,
        };
        Ok(Self {
            follow: query.flag("follow"),
            previous: query.flag("previous"),
            timestamps: query.flag("timestamps"),
            tail: number("tailLines", 0)?,
            since,
            limit: number("limitBytes", 1)?,
        })
    }
}

fn invalid(why: &str) -> Status {
    Status::unprocessable(format!("PodLogOptions \"\" is invalid: {why}"))
}

/// Times before 1970 are 1970.
fn nanos(time: Timestamp) -> u64 {
    u64::try_from(time.as_nanosecond()).unwrap_or(0)
}

/// The streams of exec and attach, and what is run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamOptions {
    /// The client sends standard input.
    pub stdin: bool,
    /// The client hears standard output.
    pub stdout: bool,
    /// The client hears standard error.
    pub stderr: bool,
    /// There is a terminal.
    pub tty: bool,
    /// Program and arguments; nothing for attach.
    pub command: Vec<String>,
}

impl StreamOptions {
    /// Reads them. `exec` is for those that have a command.
    ///
    /// # Errors
    /// 400, with the words of Kubernetes.
    pub fn read(query: &Query, exec: bool) -> Result<Self, Status> {
        let [stdin, stdout, stderr, tty] = ["stdin", "stdout", "stderr", "tty"].map(|name| query.flag(name));
        let command = query.all("command").map(String::from).collect::<Vec<_>>();
        if !stdin && !stdout && !stderr {
            return Err(Status::bad_request("must specify at least 1 of stdin, stdout, stderr"));
        }
        if exec && command.is_empty() {
            return Err(Status::bad_request("you must specify at least 1 command for the container"));
        }
        // a terminal has one output
        Ok(Self { stdin, stdout, stderr: stderr && !tty, tty, command: if exec { command } else { Vec::new() } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(query: &str) -> Result<LogOptions, Status> {
        LogOptions::read(&Query::parse(query), Timestamp::from_second(100).unwrap())
    }

    #[test]
    fn logs() {
        assert_eq!(log(""), Ok(LogOptions::default()));
        let all = log("follow=true&previous=1&timestamps=true&tailLines=0&sinceSeconds=40&limitBytes=7").unwrap();
        let expected = LogOptions {
            follow: true,
            previous: true,
            timestamps: true,
            tail: Some(0),
            since: Some(60_000_000_000),
            limit: Some(7),
        };
        assert_eq!(all, expected);
        assert_eq!(log("sinceTime=1970-01-01T00:00:01.5Z").unwrap().since, Some(1_500_000_000));
        assert_eq!(log("sinceSeconds=1000").unwrap().since, Some(0));
        for (query, code, words) in [
            ("tailLines=-1", 422, "tailLines: Invalid value: -1: must be greater than or equal to 0"),
            ("limitBytes=0", 422, "limitBytes: Invalid value: 0: must be greater than 0"),
            ("sinceSeconds=0", 422, "sinceSeconds: Invalid value: 0: must be greater than 0"),
            ("sinceSeconds=1&sinceTime=1970-01-01T00:00:01Z", 422, "at most one of `sinceTime` or `sinceSeconds`"),
            ("tailLines=x", 400, "tailLines: \"x\" is not a whole number"),
            ("sinceTime=x", 400, "sinceTime: \"x\" is not a time"),
        ] {
            let refused = log(query).unwrap_err();
            assert!(refused.code == code && refused.message.contains(words), "{query}: {refused:?}");
        }
    }

    #[test]
    fn streams() {
        let read = |query: &str, exec| StreamOptions::read(&Query::parse(query), exec);
        let exec = read("command=sh&command=-c&command=echo+a%26b&stdout=true&stderr=true", true).unwrap();
        assert_eq!((exec.command, exec.stderr), (["sh", "-c", "echo a&b"].map(String::from).to_vec(), true));
        let attach = read("stdin=true&stdout=true&stderr=true&tty=true&command=x", false).unwrap();
        assert_eq!((attach.stderr, attach.command), (false, Vec::new()));
        assert!(read("command=x", true).is_err() && read("stdin=1", true).is_err());
    }
}
