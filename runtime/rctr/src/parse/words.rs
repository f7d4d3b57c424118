//! Words that say who and where, checked before anything is fetched or made.

/// The name of a container.
pub(crate) fn container_name(text: &str) -> Result<String, String> {
    engine::check_name(text).map(|()| text.to_owned()).map_err(|error| error.to_string())
}

/// A host or domain name; an empty one is none.
pub(crate) fn host_name(text: &str) -> Result<String, String> {
    // As much as the kernel keeps (sethostname(2)).
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    match text.len() <= 64 && text.bytes().all(fine) && !text.starts_with(['-', '.']) {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is no host name: it has letters, digits, '-' and '.', and at most 64 of them")),
    }
}

/// `USER[:GROUP]`, each a name or a number. Whether there are such ones only the container knows.
pub(crate) fn user(text: &str) -> Result<String, String> {
    match word(text) && text.matches(':').count() <= 1 {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is no user: the form is USER[:GROUP], each a name or a number")),
    }
}

/// A group by its name or number.
pub(crate) fn group(text: &str) -> Result<String, String> {
    match word(text) && !text.is_empty() && !text.contains(':') {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is no group: give a name or a number")),
    }
}

/// A folder of a container.
pub(crate) fn workdir(text: &str) -> Result<String, String> {
    match text.starts_with('/') && !text.contains('\0') {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is no absolute path, such as /app")),
    }
}

/// A capability, or ALL.
pub(crate) fn capability(text: &str) -> Result<String, String> {
    engine::check_capability(text).map(|()| text.to_owned()).map_err(|error| error.to_string())
}

fn word(text: &str) -> bool {
    !text.contains(|letter: char| letter.is_whitespace() || letter.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_their_kinds() {
        for text in ["web-1.example", "", "my_host"] {
            assert!(host_name(text).is_ok(), "{text}");
        }
        for text in ["a b", "-a", "a/b", &"a".repeat(65)] {
            assert!(host_name(text).is_err(), "{text}");
        }
        assert!(
            user("app:staff").is_ok() && user("1000").is_ok() && user("").is_ok() && user("a:b:c").is_err() && user("a b").is_err()
        );
        assert!(group("4242").is_ok() && group("").is_err() && group("a:b").is_err());
        assert!(workdir("/a").is_ok() && workdir("a").is_err() && workdir("").is_err());
        assert!(capability("NET_ADMIN").is_ok() && capability("all").is_ok() && capability("CAP_NOSUCH").is_err());
        assert!(container_name("a.b").is_ok() && container_name("a b").is_err() && container_name("").is_err());
    }
}
