//! Files of the host and of volumes.

use engine::{CreateRequest, Mount, MountSource, VolumesFrom};

use crate::parse;

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Show a folder or file of the host, or a volume: [NAME:|/HOST:]/CONTAINER[:OPTION,...]. A volume has a name, or is the container's
    /// own; it is made if it is missing, and gets what the image has there. Options: ro, rw, nocopy, [r]private, [r]slave, [r]shared, U
    /// (give it to the container's user), idmap=uids=DISK-SHOWN-COUNT;gids=DISK-SHOWN-COUNT; z and Z are for SELinux, and do nothing where there is none
    #[arg(short, long, value_name = "MOUNT", value_parser = parse::volume)]
    volume: Vec<Mount>,
    /// The same in words, and tmpfs and images, too: type=bind|volume|tmpfs|image,source=SOURCE,target=/CONTAINER[,KEY=VALUE...]
    #[arg(long, value_name = "MOUNT", value_parser = parse::mount)]
    mount: Vec<Mount>,
    /// A file system in memory: /CONTAINER[:OPTION,...], such as /run:size=64m,mode=755
    #[arg(long, value_name = "PATH", value_parser = parse::tmpfs)]
    tmpfs: Vec<Mount>,
    /// All that another container has mounted: CONTAINER[:ro]
    #[arg(long, value_name = "CONTAINER", value_parser = parse::volumes_from)]
    volumes_from: Vec<VolumesFrom>,
    /// Size of /dev/shm, such as 128m
    #[arg(long, value_name = "BYTES", value_parser = parse::bytes)]
    shm_size: Option<i64>,
}

impl Args {
    /// The images that are mounted.
    pub(super) fn images(&self) -> impl Iterator<Item = &str> {
        self.mount.iter().filter_map(|mount| match &mount.source {
            MountSource::Image { name, .. } => Some(name.as_str()),
            _ => None,
        })
    }

    pub(super) fn apply(self, request: &mut CreateRequest) {
        request.mounts = [self.volume, self.mount, self.tmpfs].concat();
        request.volumes_from = self.volumes_from;
        request.shm_size = self.shm_size.and_then(|bytes| u64::try_from(bytes).ok());
    }
}
