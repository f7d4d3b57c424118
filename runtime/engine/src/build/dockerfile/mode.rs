//! `--chmod`: permissions as numbers or as chmod(1) writes them.

/// A change of permissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mode {
    /// These.
    Octal(u32),
    /// `u=rwx,go-w`: who, how, what.
    Symbolic(Vec<(u32, char, String)>),
}

/// Permissions in octal digits.
pub(crate) fn octal(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.len() <= 5 && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    if digits { u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777) } else { None }
}

impl Mode {
    pub(crate) fn parse(text: &str) -> Result<Mode, String> {
        if let Some(mode) = octal(text) {
            return Ok(Mode::Octal(mode));
        }
        let wrong = || format!("invalid chmod parameter {text:?}: it is octal, such as 0644, or symbolic, such as u=rwx,go=rx");
        let mut clauses = Vec::new();
        for clause in text.split(',') {
            let at = clause.find(['=', '+', '-']).ok_or_else(wrong)?;
            let (who, rest) = clause.split_at(at);
            let mut mask = 0;
            for letter in who.chars() {
                mask |= match letter {
                    'u' => 0o4700,
                    'g' => 0o2070,
                    'o' => 0o1007,
                    'a' => 0o7777,
                    _ => return Err(wrong()),
                };
            }
            let mask = if who.is_empty() { 0o7777 } else { mask };
            let (how, what) = rest.split_at(1);
            if !what.chars().all(|letter| "rwxXst".contains(letter)) {
                return Err(wrong());
            }
            clauses.push((mask, how.chars().next().unwrap_or('='), what.to_owned()));
        }
        Ok(Mode::Symbolic(clauses))
    }

    /// The new permissions of a file that has `old` ones.
    pub(crate) fn apply(&self, old: u32, folder: bool) -> u32 {
        let clauses = match self {
            Mode::Octal(mode) => return *mode,
            Mode::Symbolic(clauses) => clauses,
        };
        clauses.iter().fold(old & 0o7777, |mode, (mask, how, what)| {
            let bit = |letter| match letter {
                'r' => 0o444,
                'w' => 0o222,
                'x' => 0o111,
                'X' if folder || mode & 0o111 != 0 => 0o111,
                's' => 0o6000,
                't' => 0o1000,
                _ => 0,
            };
            let bits = what.chars().fold(0, |bits, letter| bits | bit(letter)) & mask;
            match how {
                '+' => mode | bits,
                '-' => mode & !bits,
                _ => mode & !(mask & 0o777) | bits,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms() {
        for (text, old, folder, new) in [
            ("0644", 0o777, false, 0o644),
            ("755", 0o600, true, 0o755),
            ("u+x", 0o644, false, 0o744),
            ("go-w", 0o666, false, 0o644),
            ("u=rwx,go=rx", 0o600, false, 0o755),
            ("a+X", 0o644, false, 0o644),
            ("a+X", 0o644, true, 0o755),
            ("+r", 0o200, false, 0o644),
            ("u+s", 0o755, false, 0o4755),
        ] {
            assert_eq!(Mode::parse(text).unwrap().apply(old, folder), new, "{text}");
        }
        for wrong in ["", "8", "99999", "rwx", "u", "u+z", "q+x", "0o644"] {
            assert!(Mode::parse(wrong).is_err(), "{wrong}");
        }
    }
}
