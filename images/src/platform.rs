//! For which machines an image is.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use serde::Deserialize;

/// Operating system, processor architecture and its variant, by Go's names: `linux/amd64`, `linux/arm/v7`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub struct Platform {
    /// `linux`.
    #[serde(default)]
    pub os: String,
    /// `amd64`, `arm64`, `arm`, …
    #[serde(default)]
    pub architecture: String,
    /// `v7`, …
    #[serde(default)]
    pub variant: Option<String>,
}

impl Platform {
    /// This machine's platform.
    pub fn host() -> Self {
        normal("linux", std::env::consts::ARCH, None)
    }

    /// The same platform under its usual name: `linux/x86_64` is `linux/amd64`, `arm64/v8` is `arm64`, `arm` is `arm/v7`.
    pub fn normalized(&self) -> Self {
        normal(&self.os, &self.architecture, self.variant.as_deref())
    }

    /// Whether an image for `offered` runs here.
    pub(crate) fn accepts(&self, offered: &Platform) -> bool {
        self.rank(offered).is_some()
    }

    /// How good an image for `offered` is on this platform: 0 is best, `None` does not run.
    pub(crate) fn rank(&self, offered: &Platform) -> Option<usize> {
        let (wanted, offered) = (self.normalized(), offered.normalized());
        if wanted.os != offered.os {
            return None;
        }
        let offer = (offered.architecture.as_str(), offered.variant.as_deref());
        let fallbacks: &[(&str, Option<&str>)] = match (wanted.architecture.as_str(), wanted.variant.as_deref()) {
            ("amd64", None) => &[("amd64", None), ("386", None)],
            ("amd64", Some("v2")) => &[("amd64", Some("v2")), ("amd64", None), ("386", None)],
            ("amd64", Some("v3")) => &[("amd64", Some("v3")), ("amd64", Some("v2")), ("amd64", None), ("386", None)],
            ("amd64", Some("v4")) => {
                &[("amd64", Some("v4")), ("amd64", Some("v3")), ("amd64", Some("v2")), ("amd64", None), ("386", None)]
            }
            ("arm64", None) => {
                &[("arm64", None), ("arm", Some("v8")), ("arm", Some("v7")), ("arm", Some("v6")), ("arm", Some("v5"))]
            }
            ("arm", Some("v8")) => &[("arm", Some("v8")), ("arm", Some("v7")), ("arm", Some("v6")), ("arm", Some("v5"))],
            ("arm", Some("v7")) => &[("arm", Some("v7")), ("arm", Some("v6")), ("arm", Some("v5"))],
            ("arm", Some("v6")) => &[("arm", Some("v6")), ("arm", Some("v5"))],
            other => return (other == offer).then_some(0),
        };
        fallbacks.iter().position(|fallback| *fallback == offer)
    }
}

/// As containerd's `platforms.Normalize` has it.
fn normal(os: &str, architecture: &str, variant: Option<&str>) -> Platform {
    let (os, architecture) = (os.to_ascii_lowercase(), architecture.to_ascii_lowercase());
    let variant = variant.map(str::to_ascii_lowercase).filter(|variant| !variant.is_empty());
    let variant = variant.as_deref().map(|variant| match variant {
        "5" => "v5",
        "6" => "v6",
        "7" => "v7",
        "8" => "v8",
        variant => variant,
    });
    let (architecture, variant) = match (architecture.as_str(), variant) {
        ("x86_64" | "x86-64" | "amd64", variant) => ("amd64", variant.filter(|variant| *variant != "v1")),
        ("aarch64" | "arm64", variant) => ("arm64", variant.filter(|variant| *variant != "v8")),
        ("i386" | "i486" | "i686" | "x86" | "386", _) => ("386", None),
        ("armel", _) => ("arm", Some("v6")),
        ("armhf", _) | ("arm", None) => ("arm", Some("v7")),
        ("powerpc64le" | "ppc64el", variant) => ("ppc64le", variant),
        ("loongarch64", variant) => ("loong64", variant),
        other => other,
    };
    let os = if os == "macos" { "darwin".to_owned() } else { os };
    Platform { os, architecture: architecture.to_owned(), variant: variant.map(str::to_owned) }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Part(&self.os), Part(&self.architecture))?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{}", Part(variant)))
    }
}

/// A part of a platform, for messages and lists: strangers write it into their images.
struct Part<'a>(&'a str);

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 64;
        let shown = self.0.chars().take(MOST).map(|c| if c.is_ascii_graphic() { c } else { '?' });
        shown.into_iter().try_for_each(|c| f.write_char(c))
    }
}

/// Text that is no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid platform {text:?}: write it as linux/amd64 or linux/arm/v7")]
pub struct InvalidPlatform {
    text: String,
}

impl FromStr for Platform {
    type Err = InvalidPlatform;

    fn from_str(text: &str) -> Result<Self, InvalidPlatform> {
        let parts: Vec<&str> = text.split('/').collect();
        let good =
            |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
        if !parts.iter().all(good) {
            return Err(InvalidPlatform { text: text.chars().take(200).collect() });
        }
        match parts[..] {
            ["linux"] => Ok(Platform::host()),
            [architecture] if !OTHER_SYSTEMS.contains(&architecture) => Ok(normal("linux", architecture, None)),
            [os, architecture] => Ok(normal(os, architecture, None)),
            [os, architecture, variant] => Ok(normal(os, architecture, Some(variant))),
            _ => Err(InvalidPlatform { text: text.chars().take(200).collect() }),
        }
    }
}

/// Names that could be taken for an architecture.
const OTHER_SYSTEMS: [&str; 8] = ["windows", "darwin", "macos", "freebsd", "netbsd", "openbsd", "solaris", "android"];

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn names() {
        for (text, shown) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("Linux/AMD64/v1", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("arm64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/6", "linux/arm/v6"),
            ("linux/armhf", "linux/arm/v7"),
            ("windows/amd64", "windows/amd64"),
        ] {
            assert_eq!(platform(text).to_string(), shown, "{text}");
        }
        assert_eq!(platform("linux"), Platform::host());
        for text in ["", "/", "linux/", "linux//v7", "a/b/c/d", "windows", "linux/am d64"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }

    #[test]
    fn ranks() {
        let rank = |wanted: &str, offered: &str| platform(wanted).rank(&platform(offered));
        assert_eq!(rank("linux/amd64", "linux/amd64"), Some(0));
        assert_eq!(rank("linux/amd64", "linux/amd64/v2"), None);
        assert_eq!(rank("linux/amd64/v3", "linux/amd64/v4"), None);
        assert!(rank("linux/amd64/v3", "linux/amd64/v2") < rank("linux/amd64/v3", "linux/amd64"));
        assert!(rank("linux/amd64", "linux/386").is_some());
        assert!(rank("linux/arm64", "linux/arm/v7") < rank("linux/arm64", "linux/arm/v5"));
        assert_eq!(rank("linux/arm64", "linux/amd64"), None);
        assert_eq!(rank("linux/arm/v6", "linux/arm/v7"), None);
        assert_eq!(rank("linux/amd64", "windows/amd64"), None);
        assert_eq!(rank("linux/riscv64", "linux/riscv64"), Some(0));
    }

    #[test]
    fn what_strangers_write_is_no_terminals_business() {
        let odd = Platform { os: "\u{1b}[31mlinux\n".into(), architecture: "a".repeat(1 << 20), variant: Some("\u{202e}".into()) };
        assert_eq!(odd.to_string(), format!("?[31mlinux?/{}/?", "a".repeat(64)));
    }
}
