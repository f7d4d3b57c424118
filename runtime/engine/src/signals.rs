//! Signal names as people write them.

use crate::Error;

/// Linux signal numbers of x86_64 and aarch64, which agree: signal(7).
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM", "STKFLT",
    "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// A signal's number from `9`, `KILL`, `SIGKILL`, `sigkill`, `RTMIN+3` or `SIGRTMAX-1`.
///
/// # Errors
/// [`Error::BadSignal`] with the text.
pub fn parse(text: &str) -> Result<i32, Error> {
    find(text).ok_or_else(|| Error::BadSignal { text: text.to_owned() })
}

fn find(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=RTMAX).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(at) = NAMES.iter().position(|known| *known == name) {
        return Some(at as i32 + 1);
    }
    let (base, rest) =
        [("RTMIN", RTMIN), ("RTMAX", RTMAX)].into_iter().find_map(|(word, base)| Some((base, name.strip_prefix(word)?)))?;
    let offset = if rest.is_empty() { 0 } else { rest.parse::<i32>().ok().filter(|_| rest.starts_with(['+', '-']))? };
    (RTMIN..=RTMAX).contains(&(base + offset)).then_some(base + offset)
}

/// The name of a signal, such as `SIGTERM` or `SIGRTMIN+3`.
pub fn name(signal: i32) -> String {
    match usize::try_from(signal - 1).ok().and_then(|at| NAMES.get(at)) {
        Some(name) => format!("SIG{name}"),
        None if signal >= RTMIN => format!("SIGRTMIN+{}", signal - RTMIN),
        None => signal.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (text, number) in [
            ("9", 9),
            ("KILL", 9),
            ("SIGKILL", 9),
            ("sigterm", 15),
            ("SIGRTMIN+3", 37),
            ("RTMAX", 64),
            ("rtmax-1", 63),
            ("SYS", 31),
        ] {
            assert_eq!(find(text), Some(number), "{text}");
        }
        for text in ["", "0", "65", "-1", "FOO", "SIG", "RTMIN3", "RTMIN+99", "RTMAX+1"] {
            assert_eq!(find(text), None, "{text}");
        }
        assert_eq!((name(15), name(37)), ("SIGTERM".to_owned(), "SIGRTMIN+3".to_owned()));
    }
}
