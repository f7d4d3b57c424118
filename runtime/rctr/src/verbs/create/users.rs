//! Whose users the container has.

use anyhow::{Context as _, Result, bail};
use engine::{CreateRequest, IdRange, UserMap, Users};

use crate::parse;
use crate::settings::Settings;

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Its users: host, auto[:size=NUMBER,uidmapping=MAP,gidmapping=MAP] for users who are nobody else's on the host, or
    /// keep-id[:uid=ID,gid=ID] for the host's in a namespace of its own
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
    pub(super) fn apply(self, request: &mut CreateRequest) -> Result<()> {
        let maps = !self.uidmap.is_empty() || !self.gidmap.is_empty();
        request.users = match self.userns {
            Some(_) if maps => bail!("--uidmap and --gidmap say it all: --userns goes without them"),
            None if maps => {
                let or = |own: &[IdRange], other: &[IdRange]| if own.is_empty() { other.to_vec() } else { own.to_vec() };
                Users::Map(UserMap { uids: or(&self.uidmap, &self.gidmap), gids: or(&self.gidmap, &self.uidmap) })
            }
            None | Some(parse::Wish::Host) => Users::Host,
            Some(parse::Wish::Auto(mut auto)) => {
                auto.pool = Settings::load()?.pool()?;
                if auto.pool.uids.is_empty() || auto.pool.gids.is_empty() {
                    const HOW: &str = "add a line such as containers:2147483648:1073741824 to both /etc/subuid and /etc/subgid";
                    return Err(anyhow::anyhow!(HOW)).context("--userns auto: no ids of the host are set aside for containers");
                }
                Users::Auto(auto)
            }
            Some(parse::Wish::Keep { uid, gid }) => {
                if uid.is_some() || gid.is_some() {
                    request.user.get_or_insert_with(|| format!("{}:{}", uid.unwrap_or(0), gid.unwrap_or(0)));
                }
                let all = vec![IdRange { inside: 0, outside: 0, size: u32::MAX }];
                Users::Map(UserMap { uids: all.clone(), gids: all })
            }
        };
        Ok(())
    }
}
