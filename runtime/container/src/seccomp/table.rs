//! System call numbers by name, for all supported ABIs at once: a hash table that is made at compile time.
//!
//! The numbers come from crate `syscalls`. What it lacks or has wrong is corrected here: on arm64 it calls
//! `newfstatat` `fstatat` and lists the `*_time64` calls, which only 32-bit ABIs have; on arm it lacks the calls of
//! the ARM private range; everywhere it ends at 469.

/// The number of a call that an ABI does not have.
pub(super) const NONE: u32 = u32::MAX;

/// Column of x86_64 in [`Call::numbers`].
pub(super) const X86_64: usize = 0;
/// Column of i386.
pub(super) const X86: usize = 1;
/// Column of arm64.
pub(super) const AARCH64: usize = 2;
/// Column of arm (EABI).
pub(super) const ARM: usize = 3;

/// One system call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    /// As in the kernel's tables.
    pub(super) name: &'static str,
    /// Its number per ABI, or [`NONE`].
    pub(super) numbers: [u32; 4],
    /// On i386 the call can also be made through `socketcall(2)` or `ipc(2)`: that call's number, and the first argument.
    pub(super) multiplexed: Option<(u32, u32)>,
}

const CALLS: usize = 512;
const SLOTS: usize = 2048;

struct Table {
    calls: [Call; CALLS],
    len: usize,
    /// Open addressing: one more than the index into `calls`, or 0.
    slots: [u16; SLOTS],
}

static TABLE: Table = table();

/// Finds a call. `None` for a name that no supported ABI knows.
pub(super) fn find(name: &str) -> Option<&'static Call> {
    match TABLE.slots[TABLE.slot(name)] {
        0 => None,
        found => Some(&TABLE.calls[found as usize - 1]),
    }
}

/// All calls, for tests.
#[cfg(test)]
pub(super) fn all() -> &'static [Call] {
    &TABLE.calls[..TABLE.len]
}

impl Table {
    /// The slot that holds `name`, or the free one where it belongs.
    const fn slot(&self, name: &str) -> usize {
        let mut slot = hash(name) % SLOTS;
        while self.slots[slot] != 0 && !equal(self.calls[self.slots[slot] as usize - 1].name, name) {
            slot = (slot + 1) % SLOTS;
        }
        slot
    }

    const fn call(&mut self, name: &'static str) -> &mut Call {
        let slot = self.slot(name);
        if self.slots[slot] == 0 {
            self.calls[self.len].name = name;
            self.len += 1;
            self.slots[slot] = self.len as u16;
        }
        &mut self.calls[self.slots[slot] as usize - 1]
    }
}

/// FNV-1a.
const fn hash(name: &str) -> usize {
    let bytes = name.as_bytes();
    let mut hash = 0x811c_9dc5_u32;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    (hash ^ (hash >> 16)) as usize
}

const fn equal(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

macro_rules! column {
    ($table:ident, $module:ident, $column:expr, $real:expr) => {
        let mut id = 0;
        while id <= syscalls::$module::Sysno::last().id() {
            if let Some(call) = syscalls::$module::Sysno::new(id as usize)
                && $real(id)
            {
                $table.call(call.name()).numbers[$column] = id as u32;
            }
            id += 1;
        }
    };
}

const fn any(_: i32) -> bool {
    true
}

const fn arm64(id: i32) -> bool {
    id != 79 && (id < 403 || id > 423)
}

const fn table() -> Table {
    let none = Call { name: "", numbers: [NONE; 4], multiplexed: None };
    let mut table = Table { calls: [none; CALLS], len: 0, slots: [0; SLOTS] };
    column!(table, x86_64, X86_64, any);
    column!(table, x86, X86, any);
    column!(table, aarch64, AARCH64, arm64);
    column!(table, arm, ARM, any);
    let mut at = 0;
    while at < MORE.len() {
        table.call(MORE[at].0).numbers = MORE[at].1;
        at += 1;
    }
    table.call("newfstatat").numbers[AARCH64] = 79;
    at = 0;
    while at < MULTIPLEXED.len() {
        let (number, selector, name) = MULTIPLEXED[at];
        table.call(name).multiplexed = Some((number, selector));
        at += 1;
    }
    table
}

/// Newer than the crate (Linux 6.19 and 7.0), and the ARM private range (`arch/arm/include/uapi/asm/unistd.h`).
const MORE: &[(&str, [u32; 4])] = &[
    ("listns", [470; 4]),
    ("rseq_slice_yield", [471; 4]),
    ("breakpoint", [NONE, NONE, NONE, 0xf0001]),
    ("cacheflush", [NONE, NONE, NONE, 0xf0002]),
    ("usr26", [NONE, NONE, NONE, 0xf0003]),
    ("usr32", [NONE, NONE, NONE, 0xf0004]),
    ("set_tls", [NONE, NONE, NONE, 0xf0005]),
    ("get_tls", [NONE, NONE, NONE, 0xf0006]),
];

const SOCKETCALL: u32 = 102;
const IPC: u32 = 117;

/// i386: the calls behind `socketcall(2)` (`linux/net.h`) and `ipc(2)` (`linux/ipc.h`).
const MULTIPLEXED: &[(u32, u32, &str)] = &[
    (SOCKETCALL, 1, "socket"),
    (SOCKETCALL, 2, "bind"),
    (SOCKETCALL, 3, "connect"),
    (SOCKETCALL, 4, "listen"),
    (SOCKETCALL, 5, "accept"),
    (SOCKETCALL, 6, "getsockname"),
    (SOCKETCALL, 7, "getpeername"),
    (SOCKETCALL, 8, "socketpair"),
    (SOCKETCALL, 9, "send"),
    (SOCKETCALL, 10, "recv"),
    (SOCKETCALL, 11, "sendto"),
    (SOCKETCALL, 12, "recvfrom"),
    (SOCKETCALL, 13, "shutdown"),
    (SOCKETCALL, 14, "setsockopt"),
    (SOCKETCALL, 15, "getsockopt"),
    (SOCKETCALL, 16, "sendmsg"),
    (SOCKETCALL, 17, "recvmsg"),
    (SOCKETCALL, 18, "accept4"),
    (SOCKETCALL, 19, "recvmmsg"),
    (SOCKETCALL, 20, "sendmmsg"),
    (IPC, 1, "semop"),
    (IPC, 2, "semget"),
    (IPC, 3, "semctl"),
    (IPC, 4, "semtimedop"),
    (IPC, 11, "msgsnd"),
    (IPC, 12, "msgrcv"),
    (IPC, 13, "msgget"),
    (IPC, 14, "msgctl"),
    (IPC, 21, "shmat"),
    (IPC, 22, "shmdt"),
    (IPC, 23, "shmget"),
    (IPC, 24, "shmctl"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_all_abis() {
        let numbers = |name| find(name).unwrap().numbers;
        assert_eq!(numbers("read"), [0, 3, 63, 3]);
        assert_eq!(numbers("mount"), [165, 21, 40, 21]);
        assert_eq!(numbers("file_setattr"), [469; 4]);
        assert_eq!(numbers("newfstatat"), [262, NONE, 79, NONE]);
        assert_eq!(numbers("clock_gettime64"), [NONE, 403, NONE, 403]);
        assert_eq!(numbers("set_tls"), [NONE, NONE, NONE, 0xf0005]);
        assert!(find("no_such_call").is_none());
        assert!(find("").is_none());
    }

    #[test]
    fn every_call_is_found_under_its_name() {
        assert!(all().len() > 450);
        assert!(all().iter().all(|call| find(call.name).is_some_and(|found| found.numbers == call.numbers)));
        assert!(MULTIPLEXED.iter().all(|(.., name)| find(name).unwrap().numbers != [NONE; 4]));
    }
}
