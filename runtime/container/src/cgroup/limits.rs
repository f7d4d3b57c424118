//! Limits as data: which file of which folder gets which value, decided before anything is made.

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType, LinuxResources};
use rustix::io::Errno;
use sys::bpf::Instruction;

use super::create::Folder;
use super::{Error, Hierarchies, devices, v1, v2};

/// One write to one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Limit {
    /// Index of the folder.
    pub(super) folder: usize,
    /// Name of the file.
    pub(super) file: String,
    /// What is written.
    pub(super) value: String,
    /// Field of the configuration it comes from.
    pub(super) field: &'static str,
    /// Its value there.
    pub(super) asked: String,
    /// A kernel without this file does what is asked anyway.
    pub(super) optional: bool,
    /// What is in force beside it may stand against it until the limits after it are written.
    pub(super) depends: bool,
    /// What to write where there is no such file.
    pub(super) instead: Option<Box<Limit>>,
}

impl Limit {
    pub(super) fn failed(&self, folder: &Folder, call: &str, errno: Errno) -> Error {
        let (field, asked) = (self.field, self.asked.clone());
        if errno == Errno::NOENT && folder.v2 {
            return Error::NoController { field, asked, controller: v2::controller(&self.file).to_owned() };
        }
        let source = match call {
            "write" => sys::Error::new(format!("write({:?})", self.value), errno),
            _ => sys::Error::new(format!("{call}({:?}, O_WRONLY)", self.file), errno),
        };
        Error::Write { field, asked: asked.into(), file: folder.path.join(&self.file), value: self.value.as_str().into(), source }
    }
}

/// Collects the limits of one controller.
#[derive(Debug)]
pub(super) struct Limits<'a> {
    /// Index of its folder, if this host has one.
    pub(super) folder: Option<usize>,
    /// What has been collected.
    pub(super) all: &'a mut Vec<Limit>,
}

impl Limits<'_> {
    /// Adds a write; what it returns can be marked, or given a substitute.
    ///
    /// # Errors
    /// [`Error::NoController`] when no hierarchy of this host can have the controller.
    pub(super) fn set(
        &mut self,
        file: impl Into<String>,
        value: impl ToString,
        field: &'static str,
        asked: impl ToString,
    ) -> Result<&mut Limit, Error> {
        let (file, value, asked) = (file.into(), value.to_string(), asked.to_string());
        let Some(folder) = self.folder else {
            return Err(Error::NoController { field, asked, controller: v2::controller(&file).to_owned() });
        };
        self.all.push(Limit { folder, file, value, field, asked, optional: false, depends: false, instead: None });
        let last = self.all.len() - 1;
        Ok(&mut self.all[last])
    }
}

/// A limit that makes no sense.
pub(super) fn nonsense(field: &'static str, asked: impl ToString, why: impl Into<String>) -> Error {
    Error::Limit { field, asked: asked.to_string(), why: why.into() }
}

/// All limits that `resources` gives, for the hierarchies that this host has: each controller where it is.
pub(super) fn limits(hierarchies: &Hierarchies, resources: &LinuxResources) -> Result<Vec<Limit>, Error> {
    let mut all = Collector { hierarchies, all: Vec::new() };
    if let Some(memory) = resources.memory() {
        all.add("memory", |limits| v1::memory(memory, limits), |limits| v2::memory(memory, limits))?;
    }
    if let Some(cpu) = resources.cpu() {
        all.add("cpu", |limits| v1::cpu(cpu, limits), |limits| v2::cpu(cpu, limits))?;
        all.add("cpuset", |limits| v2::cpuset(cpu, limits), |limits| v2::cpuset(cpu, limits))?;
    }
    if let Some(pids) = resources.pids() {
        all.add("pids", |limits| v2::pids(pids, limits), |limits| v2::pids(pids, limits))?;
    }
    if let Some(block) = resources.block_io() {
        all.add("blkio", |limits| v1::blkio(block, limits), |limits| v2::io(block, limits))?;
    }
    if let Some(huge) = resources.hugepage_limits() {
        all.add("hugetlb", |limits| v1::hugetlb(huge, limits), |limits| v2::hugetlb(huge, limits))?;
    }
    if let Some(rdma) = resources.rdma() {
        all.add("rdma", |limits| v2::rdma(rdma, limits), |limits| v2::rdma(rdma, limits))?;
    }
    if let Some(network) = resources.network() {
        all.add("net_cls", |limits| v1::net_cls(network, limits), |_| v2::no_class(network))?;
        all.add("net_prio", |limits| v1::net_prio(network, limits), |_| v2::no_priority(network))?;
    }
    if let Some(rules) = resources.devices() {
        check_devices(rules)?;
        // On v2 they are a program, which is attached apart.
        all.add("devices", |limits| v1::devices(rules, limits), |_| Ok(()))?;
    }
    if let Some(unified) = resources.unified() {
        v2::unified(unified, &mut Limits { folder: hierarchies.unified(), all: &mut all.all })?;
    }
    Ok(all.all)
}

/// Fields that no kernel of today acts on. They are left out, as by runc, and this is what to tell the user.
pub fn ignored(hierarchies: &Hierarchies, resources: &LinuxResources) -> Vec<String> {
    let Some(memory) = resources.memory() else { return Vec::new() };
    let v2 = hierarchies.v1("memory").is_none();
    [
        ("kernel", memory.kernel(), "the kernel has no such limit since Linux 5.4"),
        ("kernelTCP", memory.kernel_tcp().filter(|_| v2), "cgroup v2 has no such limit"),
    ]
    .into_iter()
    .filter(|(_, value, _)| v2::given(*value).is_some())
    .map(|(field, _, why)| format!("linux.resources.memory.{field} is ignored: {why}"))
    .collect()
}

struct Collector<'a> {
    hierarchies: &'a Hierarchies,
    all: Vec<Limit>,
}

impl Collector<'_> {
    /// Adds the limits of one controller, in the form of v1 if a v1 hierarchy has it.
    fn add(
        &mut self,
        controller: &str,
        v1: impl FnOnce(&mut Limits<'_>) -> Result<(), Error>,
        v2: impl FnOnce(&mut Limits<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match self.hierarchies.v1(controller) {
            Some(folder) => v1(&mut Limits { folder: Some(folder), all: &mut self.all }),
            None => v2(&mut Limits { folder: self.hierarchies.unified(), all: &mut self.all }),
        }
    }
}

/// The program for the device rules, if they restrict anything: what a new cgroup may do is everything.
pub(super) fn device_program(resources: &LinuxResources) -> Option<Vec<Instruction>> {
    let rules = resources.devices().as_deref().unwrap_or_default();
    let free = match rules.iter().rposition(is_all) {
        Some(at) => rules[at..].iter().all(LinuxDeviceCgroup::allow),
        None => rules.is_empty(),
    };
    (!free).then(|| devices::program(rules))
}

/// A rule without a type, or with type `a`, is about all devices.
pub(super) fn is_all(rule: &LinuxDeviceCgroup) -> bool {
    matches!(rule.typ(), None | Some(LinuxDeviceType::A))
}

/// The kinds of access of a rule; none given means all.
pub(super) fn access(rule: &LinuxDeviceCgroup) -> &str {
    rule.access().as_deref().filter(|access| !access.is_empty()).unwrap_or("rwm")
}

/// Refuses rules that would be understood as more, or as less, than they say: about all devices, but not all of them.
fn check_devices(rules: &[LinuxDeviceCgroup]) -> Result<(), Error> {
    for rule in rules {
        let bad = |why: &str| Err(nonsense("linux.resources.devices", rule.to_string().trim(), why));
        if access(rule).chars().any(|right| !"rwm".contains(right)) {
            return bad("access is made of r, w and m");
        }
        let numbered = [rule.major(), rule.minor()].into_iter().flatten().any(|number| number >= 0);
        let partial = !"rwm".chars().all(|right| access(rule).contains(right));
        if is_all(rule) && (numbered || partial) {
            return bad("a rule of type a is about every device and every access");
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "limits_tests.rs"]
mod tests;
