//! Columns under the names that ps(1) has for them.

use anyhow::{Result, bail};

use super::process::{Host, Process, clock};

/// One column.
pub(super) struct Column {
    pub(super) title: String,
    pub(super) value: fn(&Process, &Host) -> String,
}

/// Names as `-o` takes them, the title, and what is shown.
type Known = (&'static [&'static str], &'static str, fn(&Process, &Host) -> String);

const KNOWN: [Known; 24] = [
    (&["pid", "tgid"], "PID", |process, _| process.pid.to_string()),
    (&["ppid"], "PPID", |process, _| process.parent.to_string()),
    (&["pgid", "pgrp"], "PGID", |process, _| process.group.to_string()),
    (&["sid", "sess", "session"], "SID", |process, _| process.session.to_string()),
    (&["user", "euser", "uname"], "USER", |process, host| host.user(process.uid)),
    (&["uid", "euid"], "UID", |process, _| process.uid.to_string()),
    (&["gid", "egid"], "GID", |process, _| process.gid.to_string()),
    (&["comm", "ucmd", "ucomm"], "COMMAND", |process, _| process.name.clone()),
    (&["args", "cmd", "command"], "COMMAND", |process, _| process.command.clone()),
    (&["state", "s"], "S", |process, _| process.state.to_string()),
    (&["stat"], "STAT", |process, _| process.flags()),
    (&["pcpu", "%cpu"], "%CPU", |process, host| format!("{:.1}", process.cpu_share(host))),
    (&["c"], "C", |process, host| format!("{:.0}", process.cpu_share(host))),
    (&["pmem", "%mem"], "%MEM", |process, host| format!("{:.1}", process.memory_share(host))),
    (&["rss", "rssize", "rsz"], "RSS", |process, _| process.resident.to_string()),
    (&["vsz", "vsize"], "VSZ", |process, _| process.virtual_size.to_string()),
    (&["time", "cputime"], "TIME", |process, _| clock(process.cpu, true)),
    (&["bsdtime"], "TIME", |process, _| format!("{}:{:02}", process.cpu / 60, process.cpu % 60)),
    (&["etime"], "ELAPSED", |process, host| clock(process.elapsed(host), false)),
    (&["stime", "start", "start_time", "bsdstart"], "STIME", |process, host| process.began(host)),
    (&["tty", "tt", "tname"], "TTY", |process, _| process.terminal()),
    (&["ni", "nice"], "NI", |process, _| process.nice.to_string()),
    (&["pri"], "PRI", |process, _| (39 - process.priority).to_string()),
    (&["nlwp", "thcount"], "NLWP", |process, _| process.threads.to_string()),
];

const FULL: &str = "user=UID,pid,ppid,c,stime,tty,time,args=CMD";
const BSD: &str = "user,pid,%cpu,%mem,vsz,rss,tty,stat,start=START,bsdtime,args";

/// The columns that options of ps(1) ask for: `-ef`, `aux`, `-o LIST` in its several spellings, and nothing, which is `-ef`.
pub(super) fn chosen(options: &[String]) -> Result<Vec<Column>> {
    let mut lists: Vec<String> = Vec::new();
    let mut words = options.iter().flat_map(|word| word.split_whitespace());
    while let Some(word) = words.next() {
        let dashed = word.strip_prefix('-');
        let letters = dashed.unwrap_or(word);
        match (letters, letters.split_once('o')) {
            _ if word.starts_with("--") => bail!("ps option {word:?}: {FORMS}"),
            // Which processes are meant is known.
            ("e" | "A" | "ax" | "a" | "x", _) => {}
            ("ef" | "fe" | "f" | "efl" | "Af", _) if dashed.is_some() => lists.push(FULL.to_owned()),
            ("aux" | "auxww" | "axu" | "u" | "ux" | "faux", _) => lists.push(BSD.to_owned()),
            (_, Some((before, list))) if before.chars().all(|letter| "eAax".contains(letter)) => {
                let list = if list.is_empty() { words.next().unwrap_or_default() } else { list };
                if list.is_empty() {
                    bail!("ps option {word:?} needs a list of columns");
                }
                lists.push(list.to_owned());
            }
            // Docker Compose and people write the columns alone, as Podman takes them.
            _ if dashed.is_none() && letters.split(',').all(|name| known(name).is_some()) => lists.push(letters.to_owned()),
            _ => bail!("ps option {word:?}: {FORMS}"),
        }
    }
    if lists.is_empty() {
        lists.push(FULL.to_owned());
    }
    lists.iter().flat_map(|list| list.split(',')).map(column).collect()
}

const FORMS: &str = "there are -ef, aux and -o with a list of columns, such as -o pid,user,args";

fn known(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|(names, ..)| names.contains(&name))
}

/// `NAME`, or `NAME=TITLE`.
fn column(text: &str) -> Result<Column> {
    let (name, own) = text.split_once('=').map_or((text, None), |(name, title)| (name, Some(title)));
    let Some((_, title, value)) = known(name) else {
        let all: Vec<_> = KNOWN.iter().map(|(names, ..)| names[0]).collect();
        bail!("ps has no column {name:?} here: there are {}", all.join(", "));
    };
    let title = own.map_or_else(|| (*title).to_owned(), str::to_owned);
    Ok(Column { title, value: *value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(options: &[&str]) -> Result<String, String> {
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        let columns = chosen(&options).map_err(|error| error.to_string())?;
        Ok(columns.iter().map(|column| column.title.clone()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn what_people_write() {
        let full = "UID PID PPID C STIME TTY TIME CMD";
        for (options, expected) in [
            (&[][..], full),
            (&["-ef"], full),
            (&["aux"], "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND"),
            (&["-o", "pid,comm"], "PID COMMAND"),
            (&["-eo", "pid,args"], "PID COMMAND"),
            (&["-opid"], "PID"),
            (&["-e", "-o", "pid", "-o", "ppid=P"], "PID P"),
            (&["pid,user"], "PID USER"),
        ] {
            assert_eq!(titles(options).as_deref(), Ok(expected), "{options:?}");
        }
        for options in [&["-o"][..], &["-o", "pid,nothing"], &["--forest"], &["-Z"], &["words"]] {
            assert!(titles(options).is_err(), "{options:?}");
        }
    }
}
