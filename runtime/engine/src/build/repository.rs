//! Repositories of git that a build is from, or that `ADD` names.

use std::any::Any;
use std::path::PathBuf;

use super::dockerfile::clean;

/// `ADDRESS[#REFERENCE[:FOLDER]]`, as BuildKit has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Repository {
    /// What git fetches from.
    pub remote: String,
    /// A branch, tag or commit; without one what the repository calls `HEAD`.
    pub reference: Option<String>,
    /// The folder in it that is meant; empty: all of it.
    pub folder: String,
}

/// A repository that was fetched.
#[derive(Debug)]
pub struct Checkout {
    /// Where its files are.
    pub folder: PathBuf,
    /// The commit that they are of.
    pub commit: String,
    /// The files are there as long as this is.
    pub held: Box<dyn Any + Send + Sync>,
}

const SCHEMES: [&str; 4] = ["https://", "http://", "git://", "ssh://"];

impl Repository {
    /// Reads an address; `None`: it is not one of a repository.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Option<Result<Repository, String>> {
        let (remote, fragment) = text.split_once('#').map_or((text, ""), |(remote, fragment)| (remote, fragment));
        let web = remote.starts_with("https://") || remote.starts_with("http://");
        // `user@host:path`, which is no address with a scheme.
        let short = !remote.contains("://") && remote.split_once(':').is_some_and(|(host, _)| is_account(host));
        let other = remote.starts_with("git://") || remote.starts_with("ssh://");
        let is = if web { remote.ends_with(".git") } else { short || other };
        is.then(|| Self::whole(remote, fragment, short).map_err(|why| format!("{text}: {why}")))
    }

    fn whole(remote: &str, fragment: &str, short: bool) -> Result<Repository, String> {
        if remote.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
            return Err("an address has no blanks".to_owned());
        }
        let place = SCHEMES.iter().find_map(|scheme| remote.strip_prefix(scheme)).unwrap_or(remote);
        let host = place.split(if short { ':' } else { '/' }).next().unwrap_or_default();
        let name = host.rsplit('@').next().unwrap_or_default();
        // What begins with a dash would be an option of ssh (CVE-2017-1000117).
        if name.is_empty() || name.starts_with('-') || place.starts_with('-') {
            return Err("it names no host".to_owned());
        }
        let (reference, folder) = fragment.split_once(':').unwrap_or((fragment, ""));
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./+@".contains(letter);
        if reference.starts_with('-') || reference.contains("..") || !reference.chars().all(plain) {
            return Err(format!("{reference:?} is no branch, tag or commit"));
        }
        let reference = Some(reference).filter(|text| !text.is_empty()).map(str::to_owned);
        let folder = clean(&format!("/{}", folder.trim_start_matches('/')));
        Ok(Repository { remote: remote.to_owned(), reference, folder: folder.trim_start_matches('/').to_owned() })
    }

    /// The address without names and passwords in it, for people to read.
    pub fn shown(&self) -> String {
        match self.remote.split_once("://") {
            Some((scheme, rest)) => {
                let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
                format!("{scheme}://{}/{path}", host.rsplit('@').next().unwrap_or(host))
            }
            None => self.remote.clone(),
        }
    }
}

/// `git@github.com`, and no path or drive.
fn is_account(text: &str) -> bool {
    text.split_once('@').is_some_and(|(user, host)| {
        !user.is_empty() && !host.is_empty() && !text.contains(['/', ' ']) && user.bytes().all(|byte| byte.is_ascii_graphic())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Address, reference and folder, or what is wrong; nothing for what is no repository.
    type Parsed = Option<Result<(String, Option<String>, String), String>>;

    fn parsed(text: &str) -> Parsed {
        Repository::parse(text).map(|read| read.map(|own| (own.remote, own.reference, own.folder)))
    }

    #[test]
    fn addresses() {
        let fine = |remote: &str, reference: Option<&str>, folder: &str| {
            Some(Ok((remote.to_owned(), reference.map(str::to_owned), folder.to_owned())))
        };
        assert_eq!(parsed("https://a/b.git"), fine("https://a/b.git", None, ""));
        assert_eq!(parsed("https://a/b.git#v1.0:sub/dir"), fine("https://a/b.git", Some("v1.0"), "sub/dir"));
        assert_eq!(parsed("git@github.com:a/b#:docker"), fine("git@github.com:a/b", None, "docker"));
        assert_eq!(parsed("ssh://git@h:22/a#feature/x"), fine("ssh://git@h:22/a", Some("feature/x"), ""));
        assert_eq!(parsed("git://h/a#x:/../../etc"), fine("git://h/a", Some("x"), "etc"));
        for other in ["https://a/b.tar.gz", "a.git", "./git@x", "dir/user@host:x", "", "file:///a.git", "ext::sh -c x"] {
            assert_eq!(parsed(other), None, "{other}");
        }
    }

    #[test]
    fn nothing_is_an_option() {
        for text in [
            "ssh://-oProxyCommand=x/a",
            "git@-x:a",
            "git://u@-x/a",
            "https://a/b.git#--upload-pack=x",
            "https://a/b.git#a b",
            "https://a /b.git",
            "git://",
        ] {
            assert!(matches!(parsed(text), Some(Err(_))), "{text}: {:?}", parsed(text));
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        let own = |text: &str| Repository::parse(text).unwrap().unwrap().shown();
        assert_eq!(own("https://me:secret@a/b.git"), "https://a/b.git");
        assert_eq!(own("git@a:b.git"), "git@a:b.git");
    }
}
