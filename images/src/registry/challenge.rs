//! `WWW-Authenticate`: how a registry wants to be asked (RFC 9110, section 11.6.1).

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// One way to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// Fetch a token from `realm` (distribution-spec's token authentication).
    Bearer {
        realm: String,
        service: Option<String>,
        /// Blank-separated.
        scope: Option<String>,
    },
    /// Send user name and password.
    Basic,
}

/// What the header lines of a 401 offer: Bearer before Basic. Schemes that are not known are left out.
pub(crate) fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let lines = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|line| line.to_str().ok());
    let mut found: Vec<Challenge> = lines.flat_map(parse).filter_map(|scheme| scheme.known()).collect();
    found.sort_by_key(|challenge| matches!(challenge, Challenge::Basic));
    found
}

#[derive(Debug, PartialEq, Eq)]
struct Scheme {
    name: String,
    parameters: Vec<(String, String)>,
}

impl Scheme {
    fn known(self) -> Option<Challenge> {
        let parameter = |name: &str| self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        match self.name.as_str() {
            "basic" => Some(Challenge::Basic),
            "bearer" => {
                let nonempty = |name| parameter(name).filter(|value| !value.is_empty());
                Some(Challenge::Bearer { realm: nonempty("realm")?, service: nonempty("service"), scope: nonempty("scope") })
            }
            _ => None,
        }
    }
}

/// Reads one line. Commas separate both challenges and parameters: a word with `=` behind it is a parameter, any other word
/// begins a challenge.
fn parse(line: &str) -> Vec<Scheme> {
    let mut schemes: Vec<Scheme> = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (word, behind) = split_word(rest);
        if word.is_empty() {
            // Nothing that could begin here: leave out one character and go on.
            let mut characters = rest.chars();
            match characters.next() {
                None => return schemes,
                Some(_) => rest = characters.as_str(),
            }
            continue;
        }
        let word = word.to_ascii_lowercase();
        match (behind.trim_start_matches([' ', '\t']).strip_prefix('='), schemes.last_mut()) {
            (Some(value), Some(scheme)) => {
                let (value, behind) = split_value(value.trim_start_matches([' ', '\t']));
                scheme.parameters.push((word, value));
                rest = behind;
            }
            (Some(behind), None) => rest = behind,
            (None, _) => {
                schemes.push(Scheme { name: word, parameters: Vec::new() });
                rest = behind;
            }
        }
    }
}

/// A token (RFC 9110, section 5.6.2) and what is behind it.
fn split_word(text: &str) -> (&str, &str) {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    text.split_at(text.find(|c| !is_token(c)).unwrap_or(text.len()))
}

/// A token or quoted string, and what is behind it. Values without quotes may have characters that need some: up to the comma.
fn split_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, behind) = text.split_at(text.find([',', ' ', '\t']).unwrap_or(text.len()));
        return (value.to_owned(), behind);
    };
    let mut value = String::new();
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => value.extend(characters.next()),
            character => value.push(character),
        }
    }
    (value, characters.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqwest::header::HeaderValue;

    use super::*;

    fn of(lines: &[&str]) -> Vec<Challenge> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(line).unwrap());
        }
        challenges(&headers)
    }

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer { realm: realm.into(), service: service.map(Into::into), scope: scope.map(Into::into) }
    }

    #[test]
    fn the_hubs() {
        let line = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/busybox:pull,push""#;
        let scope = "repository:library/busybox:pull,push";
        assert_eq!(of(&[line]), [bearer("https://auth.docker.io/token", Some("registry.docker.io"), Some(scope))]);
    }

    #[test]
    fn several() {
        let both = [bearer("https://a/t", None, None), Challenge::Basic];
        assert_eq!(of(&[r#"Basic realm="a, b", Bearer realm="https://a/t""#]), both);
        assert_eq!(of(&[r#"bearer REALM = "https://a/t""#, "BASIC"]), both);
        assert_eq!(of(&[r#"Negotiate, Basic realm=x, Bearer realm=https://a/t"#]), both);
        assert_eq!(of(&[r#"Negotiate YWJj==, Digest nonce="\"Bearer realm=\\", Basic"#]), [Challenge::Basic]);
    }

    #[test]
    fn what_is_no_challenge() {
        for line in ["", ",", "=", "Bearer", r#"Bearer realm="""#, r#"realm="https://a/t""#, "\"", "Digest realm=\"x"] {
            assert_eq!(of(&[line]), [], "{line}");
        }
        assert_eq!(of(&[r#"Bearer realm="https://a/t"#]), [bearer("https://a/t", None, None)]);
    }

    proptest! {
        #[test]
        fn any_line_is_read(line in "\\PC*") {
            parse(&line);
        }

        #[test]
        fn what_was_written_is_read(
            schemes in prop::collection::vec(("[a-z]{1,8}", prop::collection::vec(("[a-z]{1,6}", "[ -~]{0,20}"), 0..4)), 0..4)
        ) {
            let quote = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"");
            let parameter = |(name, value): &(String, String)| format!("{name}=\"{}\"", quote(value));
            let write = |(name, parameters): &(String, Vec<_>)| {
                format!("{name} {}", parameters.iter().map(parameter).collect::<Vec<_>>().join(", "))
            };
            let line = schemes.iter().map(write).collect::<Vec<_>>().join(", ");
            let expected: Vec<Scheme> = schemes.into_iter().map(|(name, parameters)| Scheme { name, parameters }).collect();
            prop_assert_eq!(parse(&line), expected);
        }
    }
}
