//! Lines in the container's `/etc/passwd` and `/etc/group` for a user whom its image does not know.

use std::fs;

use anyhow::{Result, bail};
use engine::{Caller, CreateRequest, Engine, Entries};

use crate::cli::truth;
use crate::parse::Wish;

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Whether its user, if that is a number which its /etc/passwd does not have, is added there and to /etc/group; without this flag only
    /// with --userns keep-id
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean)]
    passwd: Option<bool>,
    /// The line for it in /etc/passwd: $USERNAME, $UID, $GID, $NAME and $HOME stand for what is known
    #[arg(long, value_name = "LINE", value_parser = Entries::user_line)]
    passwd_entry: Option<String>,
    /// The line for its group in /etc/group: $GROUPNAME, $GID and $USERLIST stand for what is known
    #[arg(long, value_name = "LINE", value_parser = Entries::group_line)]
    group_entry: Option<String>,
}

impl Args {
    /// `users` is what `--userns` says.
    pub(super) fn apply(self, engine: &Engine, users: Option<&Wish>, request: &mut CreateRequest) -> Result<()> {
        let Args { passwd, passwd_entry, group_entry } = self;
        let given = passwd_entry.is_some() || group_entry.is_some();
        if given && passwd == Some(false) {
            bail!("--passwd=false: nothing is added, so --passwd-entry and --group-entry have no place");
        }
        let kept = matches!(users, Some(Wish::Keep { .. }));
        if !passwd.unwrap_or(given || kept) {
            return Ok(());
        }
        let caller = match (users, engine.config().ids()) {
            (Some(Wish::Keep { uid: None, gid: None }), Some(home)) => {
                let [passwd, group] = ["/etc/passwd", "/etc/group"].map(|path| fs::read(path).unwrap_or_default());
                caller(&String::from_utf8_lossy(&passwd), &String::from_utf8_lossy(&group), home.own)
            }
            _ => None,
        };
        request.tuning.entries = Some(Entries { caller, passwd: passwd_entry, group: group_entry });
        Ok(())
    }
}

fn boolean(text: &str) -> Result<bool, String> {
    truth(text).ok_or_else(|| format!("{text:?} is neither true nor false"))
}

/// Who a user of the host is, by its files. Users who are in none of them are known by their numbers alone.
fn caller(passwd: &str, group: &str, (uid, gid): (u32, u32)) -> Option<Caller> {
    let fields = |text: &str, id: u32| {
        let lines = text.lines().map(|line| line.split(':').map(str::to_owned).collect::<Vec<_>>());
        lines.into_iter().find(|fields| fields.get(2).and_then(|field| field.parse().ok()) == Some(id))
    };
    let user = fields(passwd, uid)?;
    let field = |at: usize| user.get(at).cloned().unwrap_or_default();
    Some(Caller {
        name: field(0),
        uid,
        gid,
        group: fields(group, gid).map_or_else(|| gid.to_string(), |fields| fields[0].clone()),
        // What follows the name is a telephone number and the like.
        full_name: field(4).split(',').next().unwrap_or_default().to_owned(),
        home: field(5).into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_known_by_its_files() {
        let passwd = "broken\nroot:x:0:0:root:/root:/bin/sh\nann:x:1000:100:Ann Example,7,,:/home/ann:/bin/sh\nbob:x:1000:1::/:\n";
        let found = caller(passwd, "users:x:100:\n", (1000, 100)).unwrap();
        assert_eq!((found.name.as_str(), found.group.as_str(), found.full_name.as_str()), ("ann", "users", "Ann Example"));
        assert_eq!((found.uid, found.gid, found.home.to_str()), (1000, 100, Some("/home/ann")));
        assert_eq!(caller(passwd, "", (1000, 100)).unwrap().group, "100");
        assert_eq!(caller(passwd, "", (5, 5)), None);
        assert_eq!((boolean("T"), boolean("0")), (Ok(true), Ok(false)));
        assert!(boolean("maybe").is_err());
    }
}
