//! What a request asks for: `criu_opts`.

use std::os::fd::RawFd;

use super::wire::Message;

/// How criu treats cgroups (criu(8), `--manage-cgroups`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CgroupMode {
    /// Not at all: restored processes stay where criu is.
    Ignore,
    /// Properties of those that it makes are restored.
    Soft,
    /// All are, also of those that are there.
    Full,
    /// All are, and none may be there.
    Strict,
    /// What criu thinks best.
    #[default]
    Default,
}

impl CgroupMode {
    /// By its name on a command line; the empty one is the default.
    pub fn parse(name: &str) -> Option<CgroupMode> {
        Some(match name {
            "" => CgroupMode::Default,
            "ignore" => CgroupMode::Ignore,
            "soft" => CgroupMode::Soft,
            "full" => CgroupMode::Full,
            "strict" => CgroupMode::Strict,
            _ => return None,
        })
    }

    fn number(self) -> i64 {
        match self {
            CgroupMode::Ignore => 0,
            CgroupMode::Soft => 3,
            CgroupMode::Full => 4,
            CgroupMode::Strict => 5,
            CgroupMode::Default => 6,
        }
    }
}

/// What a request asks for. What is empty is not said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The folder of the images: a descriptor of the caller's.
    pub images: RawFd,
    /// The folder of the log and of other files that are not images; that of the images without it.
    pub work: Option<RawFd>,
    /// The log's name.
    pub log_file: String,
    /// The first process, for a dump.
    pub pid: Option<u32>,
    /// The root file system on the host.
    pub root: String,
    /// Where the images of an earlier dump are, seen from those of this one: only what has changed since is written.
    pub parent: Option<String>,
    /// Let the processes run on.
    pub leave_running: bool,
    /// Also sockets whose other end is outside.
    pub external_sockets: bool,
    /// Also TCP connections.
    pub tcp_established: bool,
    /// Leave out TCP connections that are being made.
    pub tcp_skip_in_flight: bool,
    /// Restore TCP sockets closed.
    pub tcp_close: bool,
    /// Also processes with a terminal whose other end is outside.
    pub shell_job: bool,
    /// Also locks of files.
    pub file_locks: bool,
    /// Files that have no name any more get one.
    pub link_remap: bool,
    /// Any name of a device will do.
    pub evasive_devices: bool,
    /// Drop from earlier images what this one has.
    pub auto_dedup: bool,
    /// Leave memory for later.
    pub lazy_pages: bool,
    /// Address and port that memory is sent to.
    pub page_server: Option<(String, u16)>,
    /// The restored process becomes the caller's child.
    pub sibling: bool,
    /// `CLONE_NEW*` of namespaces whose content is left out.
    pub empty_namespaces: u64,
    /// How cgroups are treated.
    pub cgroups: CgroupMode,
    /// Where processes are in each hierarchy, which what is in the images is below of.
    pub cgroup_roots: Vec<(String, String)>,
    /// The cgroup folder to freeze them by.
    pub freeze: Option<String>,
    /// Mounts of outside: where they are inside, and their name in the images. For a restore their name and where they come from.
    pub mounts: Vec<(String, String)>,
    /// Other things of outside, `KIND[ID]:NAME`.
    pub external: Vec<String>,
    /// What they are here: descriptors of criu's own, by name.
    pub inherited: Vec<(String, RawFd)>,
    /// Namespaces to join: kind and file.
    pub join: Vec<(String, String)>,
    /// A file of further settings, which overrule these.
    pub config: Option<String>,
    /// The label of security modules, `KIND:LABEL`.
    pub lsm_profile: Option<String>,
    /// The label of mounts.
    pub lsm_mount_context: Option<String>,
}

impl Options {
    pub(super) fn write(&self, to: &mut Message) {
        let text = |to: &mut Message, field, text: &Option<String>| text.iter().for_each(|text| to.text(field, text));
        let pair = |to: &mut Message, field, first: &str, second: &str| {
            to.message(field, |inner| {
                inner.text(1, first);
                inner.text(2, second);
            });
        };
        to.number(1, i64::from(self.images));
        self.pid.iter().for_each(|pid| to.number(2, i64::from(*pid)));
        let switches = [
            (3, self.leave_running),
            (4, self.external_sockets),
            (5, self.tcp_established),
            (6, self.evasive_devices),
            (7, self.shell_job),
            (8, self.file_locks),
            // Notifications are wanted.
            (12, true),
            (15, self.parent.is_some()),
            (16, self.auto_dedup),
            (18, self.link_remap),
            // As older versions knew the mode of cgroups.
            (24, true),
            (26, self.sibling),
            (46, self.tcp_skip_in_flight),
            (48, self.lazy_pages),
            // A terminal whose other end is outside comes with a notification.
            (50, true),
            (52, self.tcp_close),
        ];
        switches.iter().for_each(|(field, on)| to.switch(*field, *on));
        // Debugging messages, without which a log says nothing.
        to.number(9, 4);
        to.text(10, &self.log_file);
        if let Some((address, port)) = &self.page_server {
            to.message(11, |inner| {
                inner.text(1, address);
                inner.number(2, i64::from(*port));
            });
        }
        to.text(13, &self.root);
        text(to, 14, &self.parent);
        self.work.iter().for_each(|work| to.number(17, i64::from(*work)));
        self.mounts.iter().for_each(|(name, value)| pair(to, 23, name, value));
        self.cgroup_roots.iter().for_each(|(controllers, path)| pair(to, 25, controllers, path));
        for (name, fd) in &self.inherited {
            to.message(27, |inner| {
                inner.text(1, name);
                inner.number(2, i64::from(*fd));
            });
        }
        to.number(34, self.cgroups.number());
        self.external.iter().for_each(|external| to.text(37, external));
        to.number(38, self.empty_namespaces as i64);
        self.join.iter().for_each(|(kind, file)| pair(to, 39, kind, file));
        text(to, 44, &self.freeze);
        text(to, 51, &self.config);
        text(to, 53, &self.lsm_profile);
        text(to, 63, &self.lsm_mount_context);
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::fields;
    use super::*;

    #[test]
    fn fields_have_their_numbers() {
        let options = Options {
            images: 5,
            pid: Some(7),
            log_file: "dump.log".into(),
            page_server: Some(("127.0.0.1".into(), 27000)),
            inherited: vec![("pipe:[1]".into(), 0)],
            cgroups: CgroupMode::Ignore,
            empty_namespaces: 0x4000_0000,
            config: Some("/etc/x".into()),
            ..Options::default()
        };
        let mut message = Message::default();
        options.write(&mut message);
        let bytes = message.into_bytes();
        let read = fields(&bytes).unwrap();
        let of = |field: u32| read.iter().find(|(known, _)| *known == field).map(|(_, value)| *value);
        assert_eq!((of(1).unwrap().number(), of(2).unwrap().number(), of(9).unwrap().number()), (5, 7, 4));
        assert_eq!((of(10).unwrap().text().as_str(), of(51).unwrap().text().as_str()), ("dump.log", "/etc/x"));
        let server = fields(of(11).unwrap().bytes()).unwrap();
        assert_eq!((server[0].1.text().as_str(), server[1].1.number()), ("127.0.0.1", 27000));
        let inherited = fields(of(27).unwrap().bytes()).unwrap();
        assert_eq!((inherited[0].1.text().as_str(), inherited[1].1.number()), ("pipe:[1]", 0));
        assert_eq!((of(34).unwrap().number(), of(38).unwrap().number()), (0, 0x4000_0000));
        assert!([3, 17, 44, 53].iter().all(|field| of(*field).is_none()), "what is not asked for is not said");
    }

    #[test]
    fn modes_have_names() {
        assert_eq!(CgroupMode::parse(""), Some(CgroupMode::Default));
        assert_eq!(["ignore", "soft", "full", "strict"].map(|name| CgroupMode::parse(name).unwrap().number()), [0, 3, 4, 5]);
        assert_eq!(CgroupMode::parse("none"), None);
    }
}
