//! Whose users the container has.

use anyhow::{Context as _, Result, bail};
use engine::{CreateRequest, Engine, IdRange, UserMap, UserPool, Users};

use crate::parse;
use crate::settings::Settings;

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Its users: host, auto[:size=NUMBER,uidmapping=MAP,gidmapping=MAP] for users who are nobody else's on the host,
    /// keep-id[:uid=ID,gid=ID] for the host's in a namespace of its own: without root the caller has the same ids there, or these; nomap for
    /// all of an ordinary user's but itself
    #[arg(long, value_name = "USERS", value_parser = parse::users)]
    userns: Option<parse::Wish>,
    /// Users of its own: CONTAINER:HOST[:NUMBER]; groups are the same unless --gidmap says otherwise
    #[arg(long, value_name = "MAP", value_parser = parse::id_map)]
    uidmap: Vec<IdRange>,
    /// Groups of its own: CONTAINER:HOST[:NUMBER]; users are the same unless --uidmap says otherwise
    #[arg(long, value_name = "MAP", value_parser = parse::id_map)]
    gidmap: Vec<IdRange>,
}

impl Args {
    /// What `--userns` says.
    pub(super) fn wish(&self) -> Option<&parse::Wish> {
        self.userns.as_ref()
    }

    pub(super) fn apply(self, engine: &Engine, request: &mut CreateRequest) -> Result<()> {
        let ids = engine.config().ids();
        let maps = !self.uidmap.is_empty() || !self.gidmap.is_empty();
        request.users = match self.userns {
            Some(_) if maps => bail!("--uidmap and --gidmap say it all: --userns goes without them"),
            None if maps => {
                let or = |own: &[IdRange], other: &[IdRange]| if own.is_empty() { other.to_vec() } else { own.to_vec() };
                Users::Map(UserMap { uids: or(&self.uidmap, &self.gidmap), gids: or(&self.gidmap, &self.uidmap) })
            }
            None | Some(parse::Wish::Host) => Users::Host,
            Some(parse::Wish::Auto(mut auto)) => {
                // A home has ids of its own.
                auto.pool = if ids.is_some() { UserPool::default() } else { Settings::load()?.pool()? };
                if ids.is_none() && (auto.pool.uids.is_empty() || auto.pool.gids.is_empty()) {
                    const HOW: &str = "add a line such as containers:2147483648:1073741824 to both /etc/subuid and /etc/subgid";
                    return Err(anyhow::anyhow!(HOW)).context("--userns auto: no ids of the host are set aside for containers");
                }
                Users::Auto(auto)
            }
            Some(parse::Wish::Keep { uid, gid }) if ids.is_some() => {
                let Some(home) = ids else { unreachable!("it was looked at") };
                let (uid, gid) = (uid.unwrap_or(home.own.0), gid.unwrap_or(home.own.1));
                request.user.get_or_insert_with(|| format!("{uid}:{gid}"));
                Users::Map(UserMap { uids: keeping(uid, home.count.0), gids: keeping(gid, home.count.1) })
            }
            Some(parse::Wish::Keep { uid, gid }) => {
                if uid.is_some() || gid.is_some() {
                    request.user.get_or_insert_with(|| format!("{}:{}", uid.unwrap_or(0), gid.unwrap_or(0)));
                }
                let all = vec![IdRange { inside: 0, outside: 0, size: u32::MAX }];
                Users::Map(UserMap { uids: all.clone(), gids: all })
            }
            Some(parse::Wish::NoMap) => {
                let Some(home) = ids else {
                    bail!("--userns nomap is for users without root: root in a container would be root here")
                };
                let others = |count: u32| vec![IdRange { inside: 0, outside: 1, size: count - 1 }];
                if home.count.0 < 2 || home.count.1 < 2 {
                    bail!("--userns nomap: there is nobody but you: add ids to /etc/subuid and /etc/subgid");
                }
                Users::Map(UserMap { uids: others(home.count.0), gids: others(home.count.1) })
            }
        };
        Ok(())
    }
}

/// Of a home's `count` ids the first, which is its user, as `own`, and all others in their order.
fn keeping(own: u32, count: u32) -> Vec<IdRange> {
    let below = own.min(count.saturating_sub(1));
    let all = [
        IdRange { inside: 0, outside: 1, size: below },
        IdRange { inside: own, outside: 0, size: 1 },
        IdRange { inside: own.saturating_add(1), outside: below + 1, size: count.saturating_sub(1) - below },
    ];
    all.into_iter().filter(|range| range.size > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_stays_who_it_is() {
        let of = |own, count| keeping(own, count).iter().map(|range| (range.inside, range.outside, range.size)).collect::<Vec<_>>();
        assert_eq!(of(1000, 65537), [(0, 1, 1000), (1000, 0, 1), (1001, 1001, 64536)]);
        assert_eq!(of(0, 10), [(0, 0, 1), (1, 1, 9)]);
        // With fewer ids than its own is high.
        assert_eq!(of(1000, 10), [(0, 1, 9), (1000, 0, 1)]);
        assert_eq!(of(9, 10), [(0, 1, 9), (9, 0, 1)]);
        assert_eq!(of(1000, 1), [(1000, 0, 1)]);
    }
}
