//! Words of a value as systemd reads them: apart at blanks, together in quotes, with escapes as in C (systemd.syntax(7)).

/// The words.
///
/// # Errors
/// A quote is not closed, or an escape means nothing.
pub(crate) fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut letters = text.chars().peekable();
    loop {
        while letters.next_if(|letter| letter.is_whitespace()).is_some() {}
        if letters.peek().is_none() {
            return Ok(words);
        }
        let (mut word, mut quote) = (String::new(), None);
        while let Some(letter) = letters.next_if(|letter| quote.is_some() || !letter.is_whitespace()) {
            match letter {
                '\\' => word.push(escaped(&mut letters).ok_or_else(|| format!("{text:?} has an escape that means nothing"))?),
                _ if quote == Some(letter) => quote = None,
                '"' | '\'' if quote.is_none() => quote = Some(letter),
                _ => word.push(letter),
            }
        }
        if quote.is_some() {
            return Err(format!("{text:?} has a quote that is not closed"));
        }
        words.push(word);
    }
}

/// What follows a backslash.
fn escaped(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    let letter = letters.next()?;
    let mut digits = |first: Option<char>, count: usize, base: u32| {
        let rest = count - usize::from(first.is_some());
        let digits: String = first.into_iter().chain(letters.take(rest)).collect();
        let complete = digits.len() == count && digits.chars().all(|digit| digit.is_digit(base));
        char::from_u32(u32::from_str_radix(&digits, base).ok().filter(|_| complete)?).filter(|letter| *letter != '\0')
    };
    match letter {
        'a' => Some('\x07'),
        'b' => Some('\x08'),
        'f' => Some('\x0c'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'v' => Some('\x0b'),
        's' => Some(' '),
        same @ ('\\' | '"' | '\'') => Some(same),
        'x' => digits(None, 2, 16),
        'u' => digits(None, 4, 16),
        'U' => digits(None, 8, 16),
        first @ '0'..='3' => digits(Some(first), 3, 8),
        _ => None,
    }
}

/// A command line of these words. What systemd puts in for `%i` and `$NAME` it puts in here, too.
pub(crate) fn join(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |letter: char| !letter.is_whitespace() && !letter.is_control() && !matches!(letter, '"' | '\'' | '\\' | ';');
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let mut text = String::from('"');
    for letter in word.chars() {
        match letter {
            '"' | '\\' => text.extend(['\\', letter]),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            letter if letter.is_control() => text.push_str(&format!("\\u{:04x}", u32::from(letter))),
            letter => text.push(letter),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_systemd_does() {
        for (text, words) in [
            ("", &[][..]),
            ("  a  b\tc ", &["a", "b", "c"]),
            ("'a b' \"c 'd'\" e\" f\"g", &["a b", "c 'd'", "e fg"]),
            (r#"a\sb "\x41\101\u00e9" \\ \"x"#, &["a b", "AAé", "\\", "\"x"]),
            ("'' x", &["", "x"]),
            ("%i $X ${Y}", &["%i", "$X", "${Y}"]),
        ] {
            assert_eq!(split(text).unwrap(), words, "{text}");
        }
        for text in ["'a", "a \"b", "\\", "\\q", "\\x4", "\\x00", "\\400"] {
            assert!(split(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let words = ["plain", "", "two words", "it's", "\"", "a\\b", "new\nline\t\x1b", ";", "ü{{.Name}}"].map(str::to_owned);
        assert_eq!(split(&join(&words)).unwrap(), words);
        assert_eq!(join(&words[..3]), "plain \"\" \"two words\"");
    }
}
