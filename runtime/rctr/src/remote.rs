//! `--host ssh://…`, or a context that says so: the command line is run on another host, by the rctr there. Whatever it names is that host's, files as well; standard
//! input and outputs, the terminal and the exit code are those of the caller.

use std::ffi::{OsStr, OsString};
use std::io::{IsTerminal, stdin, stdout};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::str::FromStr;

/// What ssh takes for a host; without a name this one, as an empty variable says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Host {
    /// `[USER@]HOST`.
    pub(crate) name: String,
    port: Option<u16>,
}

impl Host {
    /// # Errors
    /// It is no host.
    pub(crate) fn named(name: &str) -> Result<Host, String> {
        // A word that begins like this would be an option.
        let fits = !name.is_empty()
            && !name.starts_with('-')
            && !name.contains(|letter: char| letter.is_whitespace() || letter.is_control() || letter == '/');
        if fits { Ok(Host { name: name.to_owned(), port: None }) } else { Err(format!("{name:?} is no host: give [USER@]HOST")) }
    }

    /// ssh to it.
    pub(crate) fn ssh(&self) -> Command {
        let mut command = Command::new("ssh");
        if let Some(port) = self.port {
            command.args(["-p", &port.to_string()]);
        }
        command
    }
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Host, String> {
        if text.is_empty() {
            return Ok(Host::default());
        }
        let place = text.strip_prefix("ssh://").ok_or("only ssh://[USER@]HOST[:PORT] is known")?.trim_end_matches('/');
        let (name, port) = match place.rsplit_once(':').filter(|_| !place.ends_with(']')) {
            Some((name, port)) => (name, Some(port.parse().map_err(|_| format!("{port:?} is no port"))?)),
            None => (place, None),
        };
        Ok(Host { port, ..Host::named(name)? })
    }
}

/// The program there, which goes no further: two hosts whose contexts lead to each other would call each other for ever.
pub(crate) const THERE: [&str; 3] = ["env", "RCTR_CONTEXT=default", "rctr"];

/// Becomes ssh, which runs this command line there.
pub(crate) fn forward(host: &Host, args: &[OsString]) -> anyhow::Error {
    let mut command = host.ssh();
    // As a terminal here is one there.
    command.arg(if stdin().is_terminal() && stdout().is_terminal() { "-t" } else { "-T" });
    let line: Vec<_> = THERE.into_iter().map(OsStr::new).chain(without_host(args)).map(quoted).collect();
    let error = command.args(["--", &host.name]).arg(line.join(OsStr::new(" "))).exec();
    anyhow::Error::from(error).context("ssh, by which other hosts are reached")
}

/// The words after the program's own name, without those that say where to.
fn without_host(args: &[OsString]) -> Vec<&OsStr> {
    const WITH_VALUE: [&str; 5] = ["--root", "--run", "--bridge", "--cgroup-parent", "--storage-driver"];
    let mut words = args.iter().skip(1).map(OsString::as_os_str);
    let mut left = Vec::new();
    while let Some(word) = words.next() {
        let bytes = word.as_bytes();
        if ["--host", "-H", "--context", "-c"].iter().any(|flag| word == *flag) {
            words.next();
        } else if ["--host=", "-H", "--context=", "-c"].iter().any(|flag| bytes.starts_with(flag.as_bytes())) {
            // It has its value with it.
        } else {
            left.push(word);
            if WITH_VALUE.iter().any(|flag| word == *flag) {
                left.extend(words.next());
            } else if !bytes.starts_with(b"-") {
                // The verb: what follows is its own.
                break;
            }
        }
    }
    left.extend(words);
    left
}

/// A word as a shell takes it for this very word.
fn quoted(word: &OsStr) -> OsString {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@,+%".contains(&byte);
    if !word.is_empty() && word.as_bytes().iter().all(|byte| plain(*byte)) {
        return word.to_owned();
    }
    let mut text = vec![b'\''];
    for byte in word.as_bytes() {
        match byte {
            b'\'' => text.extend_from_slice(b"'\\''"),
            byte => text.push(*byte),
        }
    }
    text.push(b'\'');
    OsString::from_vec(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let host = |text: &str| text.parse::<Host>().map(|host| (host.name, host.port));
        assert_eq!(host("ssh://root@web1"), Ok(("root@web1".to_owned(), None)));
        assert_eq!("".parse(), Ok(Host::default()));
        assert_eq!(host("ssh://web1:2222/"), Ok(("web1".to_owned(), Some(2222))));
        for wrong in ["web1", "tcp://web1", "ssh://", "ssh://-oProxyCommand=x", "ssh://a b", "ssh://a:x", "ssh://a/b"] {
            assert!(host(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_verb_keeps_its_own_flags() {
        let words = |line: &str| -> Vec<OsString> { line.split(' ').map(OsString::from).collect() };
        let left = |line: &str| {
            let words = words(line);
            without_host(&words).into_iter().map(|word| word.to_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(left("rctr --host ssh://a ps -H x"), "ps -H x");
        assert_eq!(left("rctr -Hssh://a --root /r --host=ssh://b run --host c"), "--root /r run --host c");
        assert_eq!(left("rctr -c a --context=b --context c run -c 5 x"), "run -c 5 x");
        assert_eq!(left("rctr ps"), "ps");
    }

    #[test]
    fn a_shell_reads_the_same_words() {
        let words = ["plain", "", "two words", "it's", "$HOME `x`", "a\nb", "ü*?"];
        let line = words.iter().map(|word| quoted(OsStr::new(word))).collect::<Vec<_>>().join(OsStr::new(" "));
        let printed = Command::new("sh").arg("-c").arg([OsStr::new("printf '%s|' "), &line].join(OsStr::new(""))).output().unwrap();
        assert_eq!(String::from_utf8(printed.stdout).unwrap(), words.map(|word| format!("{word}|")).concat());
    }
}
