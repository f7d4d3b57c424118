//! `RUN --mount`.

use super::mode::octal;

/// What is mounted while a `RUN` runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunMount {
    pub(crate) kind: MountKind,
    /// Where, perhaps relative to the working folder; nothing where the kind has a place of its own.
    pub(crate) target: Option<String>,
    /// A stage, an image, or nothing: the context, or an empty folder of the cache.
    pub(crate) from: Option<String>,
    /// Path in it.
    pub(crate) source: Option<String>,
    pub(crate) readonly: bool,
    /// Name of a cache, a secret or an agent.
    pub(crate) id: Option<String>,
    pub(crate) sharing: Sharing,
    /// It is an error if there is no such secret or agent.
    pub(crate) required: bool,
    /// Permissions and owner of a cache's folder, or of the file.
    pub(crate) mode: Option<u32>,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Bytes of a tmpfs.
    pub(crate) size: Option<u64>,
    /// The variable that has the secret.
    pub(crate) env: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MountKind {
    Bind,
    Cache,
    Tmpfs,
    Secret,
    Ssh,
}

/// Who may use a cache at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// Everybody.
    #[default]
    Shared,
    /// One; others get an empty one.
    Private,
    /// One; others wait.
    Locked,
}

impl RunMount {
    /// Reads `type=cache,target=/x,…`, whose variables were put in.
    pub(crate) fn parse(text: &str) -> Result<RunMount, String> {
        let fields = fields(text)?;
        let kind = match fields.iter().find(|(key, _)| key == "type").and_then(|(_, value)| value.as_deref()) {
            None | Some("bind") => MountKind::Bind,
            Some("cache") => MountKind::Cache,
            Some("tmpfs") => MountKind::Tmpfs,
            Some("secret") => MountKind::Secret,
            Some("ssh") => MountKind::Ssh,
            Some(other) => return Err(format!("unsupported mount type {other:?}: use bind, cache, tmpfs, secret or ssh")),
        };
        let mut mount = RunMount {
            kind,
            target: None,
            from: None,
            source: None,
            readonly: kind == MountKind::Bind,
            id: None,
            sharing: Sharing::Shared,
            required: false,
            mode: None,
            uid: 0,
            gid: 0,
            size: None,
            env: None,
        };
        for (key, value) in &fields {
            mount.set(key, value.as_deref())?;
        }
        mount.check()?;
        Ok(mount)
    }

    fn set(&mut self, key: &str, value: Option<&str>) -> Result<(), String> {
        use MountKind::{Bind, Cache, Secret, Ssh, Tmpfs};
        let kind = self.kind;
        let unexpected = || format!("unexpected key {key:?} for mount type {}", kind.name());
        let allowed = |kinds: &[MountKind]| if kinds.contains(&kind) { Ok(()) } else { Err(unexpected()) };
        let switch = || match value {
            None | Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(other) => Err(format!("invalid value for {key}: {other}")),
        };
        if matches!(key, "readonly" | "ro" | "readwrite" | "rw") {
            allowed(&[Bind, Cache])?;
            self.readonly = switch()? == matches!(key, "readonly" | "ro");
            return Ok(());
        }
        if key == "required" {
            allowed(&[Secret, Ssh])?;
            self.required = switch()?;
            return Ok(());
        }
        let value = value.ok_or_else(|| format!("invalid field {key:?}: must be a key=value pair"))?;
        let number = || value.parse::<u32>().map_err(|_| format!("invalid value for {key}: {value}"));
        match key {
            "type" => {}
            "target" | "dst" | "destination" => self.target = Some(value.to_owned()),
            "from" => {
                allowed(&[Bind, Cache])?;
                self.from = Some(value.to_owned()).filter(|from| !from.is_empty());
            }
            "source" | "src" => {
                allowed(&[Bind, Cache])?;
                self.source = Some(value.to_owned());
            }
            "id" => {
                allowed(&[Cache, Secret, Ssh])?;
                self.id = Some(value.to_owned());
            }
            "sharing" => {
                allowed(&[Cache])?;
                self.sharing = match value {
                    "shared" => Sharing::Shared,
                    "private" => Sharing::Private,
                    "locked" => Sharing::Locked,
                    _ => return Err(format!("unsupported sharing value {value:?}: use shared, private or locked")),
                };
            }
            "mode" => {
                allowed(&[Cache, Secret, Ssh])?;
                self.mode = Some(octal(value).ok_or_else(|| format!("invalid value for mode: {value}"))?);
            }
            "uid" => {
                allowed(&[Cache, Secret, Ssh])?;
                self.uid = number()?;
            }
            "gid" => {
                allowed(&[Cache, Secret, Ssh])?;
                self.gid = number()?;
            }
            "size" => {
                allowed(&[Tmpfs])?;
                self.size = Some(size(value).ok_or_else(|| format!("invalid value for size: {value}"))?);
            }
            "env" => {
                allowed(&[Secret])?;
                self.env = Some(value.to_owned()).filter(|env| !env.is_empty());
            }
            _ => return Err(unexpected()),
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        let needs_target = matches!(self.kind, MountKind::Bind | MountKind::Cache | MountKind::Tmpfs);
        if needs_target && self.target.as_deref().unwrap_or_default().is_empty() {
            return Err("target is required".to_owned());
        }
        if self.kind == MountKind::Secret && self.id.is_none() && self.target.is_none() && self.env.is_none() {
            return Err("a secret needs an id or a target".to_owned());
        }
        Ok(())
    }

    /// The stage or image that is named in a mount as it was typed.
    pub(crate) fn source_of(text: &str) -> Option<String> {
        let fields = fields(text).ok()?;
        fields.into_iter().find(|(key, _)| key == "from").and_then(|(_, value)| value).filter(|from| !from.is_empty())
    }
}

impl MountKind {
    fn name(self) -> &'static str {
        match self {
            MountKind::Bind => "bind",
            MountKind::Cache => "cache",
            MountKind::Tmpfs => "tmpfs",
            MountKind::Secret => "secret",
            MountKind::Ssh => "ssh",
        }
    }
}

/// `key=value` or `key`, separated by commas; a field in double quotes may have commas in it.
fn fields(text: &str) -> Result<Vec<(String, Option<String>)>, String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.next_if_eq(&'"').is_some() => field.push('"'),
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            letter => field.push(letter),
        }
    }
    if quoted {
        return Err("a double quote is not closed".to_owned());
    }
    fields.push(field);
    let pair = |field: String| match field.split_once('=') {
        Some((key, value)) => (key.trim().to_ascii_lowercase(), Some(value.to_owned())),
        None => (field.trim().to_ascii_lowercase(), None),
    };
    Ok(fields.into_iter().filter(|field| !field.trim().is_empty()).map(pair).collect())
}

/// Bytes from `64m`, `1g`, `100`.
fn size(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match &lower[digits.len()..] {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_kinds() {
        let mount = RunMount::parse("type=cache,id=x,target=/c,sharing=locked,uid=1,gid=2,mode=0700,ro").unwrap();
        assert_eq!((mount.kind, mount.sharing, mount.uid, mount.gid), (MountKind::Cache, Sharing::Locked, 1, 2));
        assert_eq!((mount.mode, mount.readonly, mount.id.as_deref()), (Some(0o700), true, Some("x")));
        let bind = RunMount::parse("target=/src").unwrap();
        assert_eq!((bind.kind, bind.readonly), (MountKind::Bind, true));
        assert!(!RunMount::parse("type=bind,dst=/src,rw").unwrap().readonly);
        assert!(!RunMount::parse("type=bind,dst=/src,readonly=false").unwrap().readonly);
        assert_eq!(RunMount::parse("type=tmpfs,\"target=/a,b\",size=64m").unwrap().size, Some(64 << 20));
        assert!(RunMount::parse("type=secret,id=t,required").unwrap().required);
        assert_eq!(RunMount::parse("type=secret,id=t,env=TOKEN").unwrap().env.as_deref(), Some("TOKEN"));
        assert_eq!(RunMount::parse("type=ssh").unwrap().kind, MountKind::Ssh);
        assert_eq!(RunMount::source_of("type=bind,from=build,target=/x").as_deref(), Some("build"));
    }

    #[test]
    fn what_is_wrong() {
        for (text, problem) in [
            ("type=cache", "target is required"),
            ("type=nfs,target=/x", "unsupported mount type \"nfs\""),
            ("type=tmpfs,target=/x,from=y", "unexpected key \"from\""),
            ("type=cache,target=/x,sharing=some", "unsupported sharing"),
            ("type=cache,target=/x,mode=9", "invalid value for mode"),
            ("type=bind,target=/x,ro=maybe", "invalid value for ro"),
            ("type=secret", "needs an id"),
            ("target", "must be a key=value pair"),
            ("type=bind,\"target=/x", "not closed"),
            ("type=tmpfs,target=/x,size=big", "invalid value for size"),
        ] {
            let error = RunMount::parse(text).unwrap_err();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }
}
