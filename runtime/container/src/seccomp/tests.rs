//! Programs are run by an interpreter and compared with a plain reading of the profile.

use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder, LinuxSeccompOperator, LinuxSyscall,
};
use proptest::prelude::*;

use super::abi::{Abi, X32_BIT};
use super::emit::{self, Instruction};
use super::rules::Profile;
use super::{Error, LONGEST, build, compile, default_filter, default_profile, profile, table};

const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;
const KILL_THREAD: u32 = 0;
const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x0005_0001;
const ENOSYS: u32 = 0x0005_0026;
/// Docker's 14 default capabilities.
const DOCKER: u64 = 0xa804_25fb;
const SYS_ADMIN: u64 = 1 << 21;

/// What the kernel does with a filter (`bpf_prog_run`), and how many instructions it takes.
fn run(program: &[Instruction], arch: u32, nr: u32, args: [u64; 6]) -> (u32, usize) {
    let word = |offset: u32| match offset {
        emit::NR => nr,
        emit::ARCH => arch,
        emit::ARGS..64 if offset.is_multiple_of(8) => args[(offset as usize - 16) / 8] as u32,
        emit::ARGS..64 if offset % 8 == 4 => (args[(offset as usize - 16) / 8] >> 32) as u32,
        _ => panic!("load at {offset}"),
    };
    let (mut at, mut accumulator, mut steps) = (0, 0, 0);
    loop {
        let (code, jt, jf, k) = program[at];
        at += 1;
        steps += 1;
        let mut branch = |holds: bool| at += usize::from(if holds { jt } else { jf });
        match code {
            emit::LD => accumulator = word(k),
            emit::AND => accumulator &= k,
            emit::JA => at += k as usize,
            emit::JEQ => branch(accumulator == k),
            emit::JGT => branch(accumulator > k),
            emit::JGE => branch(accumulator >= k),
            emit::RET => return (k, steps),
            _ => panic!("code {code:#x}"),
        }
    }
}

fn answer(program: &[Instruction], arch: u32, name: &str, args: &[u64]) -> u32 {
    let abi = if arch == I386 { Abi::X86 } else { Abi::X86_64 };
    let mut six = [0; 6];
    six[..args.len()].copy_from_slice(args);
    run(program, arch, abi.number(table::find(name).unwrap()).unwrap(), six).0
}

/// The plain reading: no ranges, no trees, no merging.
fn read(seccomp: &LinuxSeccomp, native: Abi, arch: u32, nr: u32, args: [u64; 6]) -> u32 {
    let default = seccomp.default_action().as_u32(seccomp.default_errno_ret());
    let speaks = |abi: &&Abi| abi.audit() == arch && (abi.audit() != X86_64 || (**abi == Abi::X32) == (nr >= X32_BIT));
    let Some(&abi) = native.family().iter().find(speaks) else { return KILL_THREAD };
    let listed = |arch: &Arch| *arch == abi.to_oci() || (*arch == Arch::ScmpArchNative && abi == native);
    if abi != native && !seccomp.architectures().iter().flatten().any(listed) {
        return KILL_THREAD;
    }
    let rules = || seccomp.syscalls().iter().flatten();
    let number = |name: &String| table::find(name).and_then(|call| abi.number(call));
    let multiplexed = |name: &String| table::find(name).and_then(|call| call.multiplexed).filter(|_| abi == Abi::X86);
    let numbers = |name| [number(name), multiplexed(name).map(|(number, _)| number)];
    let known = rules().flat_map(|rule| rule.names()).flat_map(numbers).flatten().filter(|&number| abi.ordinary(number)).max();
    let stub = !matches!(default & 0xffff_0000, 0x7ff0_0000 | 0x7ffc_0000 | ALLOW);
    if stub && known.is_some_and(|known| nr > known && abi.ordinary(nr)) {
        return ENOSYS;
    }
    let mut conditional = None;
    for rule in rules() {
        let action = rule.action().as_u32(rule.errno_ret());
        let args_of = rule.args().as_deref().unwrap_or_default();
        if action == default {
            continue;
        }
        for name in rule.names() {
            let direct = number(name) == Some(nr);
            if direct && args_of.is_empty() {
                return action;
            }
            let behind = multiplexed(name).is_some_and(|(number, which)| number == nr && args[0] as u32 == which);
            let refuses = !matches!(action, ALLOW | 0x7ffc_0000);
            if (direct && matches(abi, args_of, args)) || (behind && (args_of.is_empty() || refuses)) {
                conditional = conditional.or(Some(action));
            }
        }
    }
    conditional.unwrap_or(default)
}

fn matches(abi: Abi, conditions: &[LinuxSeccompArg], args: [u64; 6]) -> bool {
    use LinuxSeccompOperator::*;
    let cut = |value: u64| if abi.wide() { value } else { value & 0xffff_ffff };
    let holds = |condition: &LinuxSeccompArg| {
        let (arg, value) = (cut(args[condition.index()]), cut(condition.value()));
        match condition.op() {
            ScmpCmpNe => arg != value,
            ScmpCmpLt => arg < value,
            ScmpCmpLe => arg <= value,
            ScmpCmpEq => arg == value,
            ScmpCmpGe => arg >= value,
            ScmpCmpGt => arg > value,
            ScmpCmpMaskedEq => arg & value == condition.value_two().unwrap_or(0) & value,
        }
    };
    let twice = conditions.iter().enumerate().any(|(at, one)| conditions[..at].iter().any(|other| other.index() == one.index()));
    if twice { conditions.iter().any(holds) } else { conditions.iter().all(holds) }
}

fn rule(names: &[&str], action: LinuxSeccompAction, args: Vec<LinuxSeccompArg>) -> LinuxSyscall {
    let mut rule = LinuxSyscall::default();
    rule.set_names(names.iter().map(|&name| name.to_owned()).collect()).set_action(action);
    rule.set_args((!args.is_empty()).then_some(args));
    rule
}

fn arg(index: usize, op: LinuxSeccompOperator, value: u64, other: u64) -> LinuxSeccompArg {
    LinuxSeccompArgBuilder::default().index(index).op(op).value(value).value_two(other).build().unwrap()
}

fn seccomp(default: LinuxSeccompAction, architectures: &[Arch], rules: Vec<LinuxSyscall>) -> LinuxSeccomp {
    let mut seccomp = LinuxSeccomp::default();
    seccomp.set_default_action(default).set_architectures(Some(architectures.to_vec())).set_syscalls(Some(rules));
    seccomp
}

fn program(seccomp: &LinuxSeccomp, native: Abi) -> Vec<Instruction> {
    let program = build(&Profile::read(seccomp, native).unwrap()).program;
    check(&program);
    program
}

/// The rules of the kernel's `bpf_check_classic` that these programs could break.
fn check(program: &[Instruction]) {
    for (at, &(code, jt, jf, k)) in program.iter().enumerate() {
        let farthest = match code {
            emit::JA => k as usize,
            _ => usize::from(jt.max(jf)),
        };
        assert!(at + farthest + 1 < program.len() || code == emit::RET, "instruction {at} leaves the program");
    }
}

/// The default profile on x86_64, wherever the tests run.
fn filter(capabilities: u64) -> Vec<Instruction> {
    build(&profile::profile(capabilities, Abi::X86_64)).program
}

#[test]
fn default_profile_by_table() {
    let filter = filter(DOCKER);
    let masked = 0x7e02_0000;
    for (name, args, expected) in [
        ("read", &[][..], ALLOW),
        ("getpid", &[], ALLOW),
        ("openat2", &[], ALLOW),
        ("ptrace", &[], ALLOW),
        ("chroot", &[], ALLOW),
        ("mount", &[], EPERM),
        ("unshare", &[], EPERM),
        ("setns", &[], EPERM),
        ("keyctl", &[], EPERM),
        ("bpf", &[], EPERM),
        ("io_uring_setup", &[], EPERM),
        ("userfaultfd", &[], EPERM),
        ("open_by_handle_at", &[], EPERM),
        ("clone3", &[], ENOSYS),
        ("clone", &[0x11], ALLOW),
        ("clone", &[0x1000_0000], EPERM),
        ("clone", &[masked | 0x11], EPERM),
        ("personality", &[0x2_0008], ALLOW),
        ("personality", &[0x4_0000], EPERM),
        ("personality", &[0x1_0000_0000], EPERM),
        ("socket", &[1], ALLOW),
        ("socket", &[38], EPERM),
        ("socket", &[39], ALLOW),
        ("socket", &[40], EPERM),
        ("socket", &[41], ALLOW),
        ("arch_prctl", &[], ALLOW),
        ("removexattrat", &[], ALLOW),
        ("open_tree_attr", &[], ENOSYS),
    ] {
        assert_eq!(answer(&filter, X86_64, name, args), expected, "{name} {args:x?}");
    }
    assert_eq!(answer(&filter, I386, "socketcall", &[]), ALLOW);
    assert_eq!(answer(&filter, I386, "clock_settime64", &[]), EPERM);
    assert_eq!(run(&filter, X86_64, X32_BIT | 520, [0; 6]).0, ALLOW);
    assert_eq!(run(&filter, X86_64, X32_BIT | 59, [0; 6]).0, EPERM, "x32 has execve at 520");
    assert_eq!(run(&filter, 0xc000_00b7, 0, [0; 6]).0, KILL_THREAD);
}

#[test]
fn capabilities_open_the_default_profile() {
    let gives = |capability: u32, name: &str| {
        assert_eq!(answer(&filter(0), X86_64, name, &[0]), EPERM, "{name}");
        assert_eq!(answer(&filter(1 << capability), X86_64, name, &[0]), ALLOW, "{name}");
    };
    let pairs = [(2, "open_by_handle_at"), (16, "init_module"), (17, "iopl"), (18, "chroot"), (19, "kcmp"), (20, "acct")];
    pairs.iter().for_each(|&(capability, name)| gives(capability, name));
    let pairs = [(21, "mount"), (21, "setns"), (22, "reboot"), (23, "mbind"), (25, "settimeofday"), (26, "vhangup")];
    pairs.iter().for_each(|&(capability, name)| gives(capability, name));
    [(34, "syslog"), (38, "perf_event_open"), (39, "bpf")].iter().for_each(|&(capability, name)| gives(capability, name));
    let admin = filter(SYS_ADMIN);
    assert_eq!(answer(&admin, X86_64, "clone", &[0x1000_0000]), ALLOW);
    assert_eq!(answer(&admin, X86_64, "clone3", &[]), ALLOW);
    assert_eq!(answer(&admin, X86_64, "keyctl", &[]), EPERM);
}

#[test]
fn the_direct_path_is_the_same() {
    for capabilities in [0, DOCKER, SYS_ADMIN, u64::MAX].into_iter().chain((0..41).map(|bit| 1 << bit)) {
        assert_eq!(Ok(default_filter(capabilities)), compile(&default_profile(capabilities)));
    }
}

#[test]
fn every_name_of_the_default_profile_exists() {
    for entry in default_profile(u64::MAX).syscalls().iter().flatten().chain(default_profile(0).syscalls().iter().flatten()) {
        for name in entry.names().iter().filter(|name| *name != "riscv_hwprobe") {
            assert!(table::find(name).is_some(), "{name}");
        }
    }
}

#[test]
fn the_default_filter_is_short_and_shallow() {
    let filter = filter(DOCKER);
    assert!(filter.len() < 400, "{} instructions", filter.len());
    let numbers: Vec<u32> = table::all().iter().filter_map(|call| Abi::X86_64.number(call)).collect();
    let steps: Vec<usize> = numbers.iter().map(|&number| run(&filter, X86_64, number, [0; 6]).1).collect();
    let average = steps.iter().sum::<usize>() as f64 / steps.len() as f64;
    assert!(average < 13.0 && *steps.iter().max().unwrap() < 36, "average {average}, most {:?}", steps.iter().max());
}

#[test]
fn the_default_filter_reads_as_the_profile_says() {
    let values = [0, 1, 8, 17, 37, 38, 39, 40, 41, 0x2_0000, 0x2_0008, 0x1000_0000, 0xffff_ffff, 1 << 32, 0x1_0000_0008];
    let compared = ["socket", "personality", "clone"].map(|name| table::find(name).unwrap().numbers);
    for capabilities in [DOCKER, SYS_ADMIN, u64::MAX] {
        let (profile, filter) = (default_profile(capabilities), default_filter(capabilities).program);
        check(&filter);
        for (arch, base) in [(X86_64, 0), (X86_64, X32_BIT), (I386, 0), (0x4000_0028, 0), (0xc000_00b7, 0)] {
            for nr in (0..480).chain([0x000f_0005, 0x3fff_ffff]) {
                let arguments_matter = compared.iter().any(|numbers| numbers.contains(&nr));
                for &value in &values[..if arguments_matter { values.len() } else { 1 }] {
                    let (nr, args) = (nr | base, [value, value, 0, 0, 0, 0]);
                    let expected = read(&profile, Abi::NATIVE, arch, nr, args);
                    assert_eq!(run(&filter, arch, nr, args).0, expected, "{arch:#x} {nr:#x} {value:#x}");
                }
            }
        }
    }
}

#[test]
fn the_default_profile_on_arm() {
    let filter = build(&profile::profile(DOCKER, Abi::Aarch64)).program;
    check(&filter);
    let (arm64, arm) = (Abi::Aarch64.audit(), Abi::Arm.audit());
    let [read, newfstatat, mount, clone3, renameat] = [63, 79, 40, 435, 38];
    let answers = [read, newfstatat, mount, clone3, renameat].map(|nr| run(&filter, arm64, nr, [0; 6]).0);
    assert_eq!(answers, [ALLOW, ALLOW, EPERM, ENOSYS, ALLOW]);
    let [set_tls, usr26, unknown, newer] = [0x000f_0005, 0x000f_0003, 0x000f_0100, 500];
    let answers = [set_tls, usr26, unknown, newer].map(|nr| run(&filter, arm, nr, [0; 6]).0);
    assert_eq!(answers, [ALLOW, EPERM, EPERM, ENOSYS]);
    assert_eq!(run(&filter, X86_64, 0, [0; 6]).0, KILL_THREAD);
}

#[test]
fn actions_and_their_data() {
    use LinuxSeccompAction::*;
    let cases = [
        (ScmpActKill, None, 0),
        (ScmpActKillThread, None, 0),
        (ScmpActKillProcess, None, 0x8000_0000),
        (ScmpActTrap, None, 0x0003_0000),
        (ScmpActErrno, None, EPERM),
        (ScmpActErrno, Some(0), 0x0005_0000),
        (ScmpActErrno, Some(95), 0x0005_005f),
        (ScmpActTrace, None, 0x7ff0_0001),
        (ScmpActTrace, Some(0xffff), 0x7ff0_ffff),
        (ScmpActNotify, None, 0x7fc0_0000),
        (ScmpActLog, None, 0x7ffc_0000),
    ];
    for (action, errno, expected) in cases {
        let mut entry = rule(&["getpid"], action, vec![]);
        entry.set_errno_ret(errno);
        let seccomp = seccomp(ScmpActAllow, &[], vec![entry]);
        assert_eq!(answer(&program(&seccomp, Abi::X86_64), X86_64, "getpid", &[]), expected, "{action} {errno:?}");
    }
}

#[test]
fn flags() {
    use oci_spec::runtime::LinuxSeccompFilterFlag::*;
    let all = vec![SeccompFilterFlagTsync, SeccompFilterFlagLog, SeccompFilterFlagSpecAllow, SeccompFilterFlagWaitKillableRecv];
    let mut seccomp = seccomp(LinuxSeccompAction::ScmpActAllow, &[], vec![]);
    assert_eq!(compile(&seccomp).unwrap().flags, 0b100, "runc's default");
    seccomp.set_flags(Some(vec![]));
    assert_eq!(compile(&seccomp).unwrap().flags, 0);
    seccomp.set_flags(Some(all));
    assert_eq!(compile(&seccomp).unwrap().flags, 0b111, "nobody is waited for");
    seccomp.set_syscalls(Some(vec![rule(&["mount"], LinuxSeccompAction::ScmpActNotify, vec![])]));
    seccomp.set_listener_path(Some("/run/agent".into()));
    let filter = compile(&seccomp).unwrap();
    assert_eq!((filter.flags, filter.listener.unwrap().path), (0b10_1110, "/run/agent".into()));
    seccomp.set_listener_path(None).set_listener_metadata(Some("x".into()));
    assert_eq!(compile(&seccomp).map(drop), Err(Error::NoPath));
}

#[test]
fn what_no_filter_can_express() {
    use LinuxSeccompAction::*;
    let one = |entry| compile(&seccomp(ScmpActErrno, &[], vec![entry])).map(|_| ());
    let equal = LinuxSeccompOperator::ScmpCmpEq;
    assert_eq!(one(rule(&["read"], ScmpActAllow, vec![arg(6, equal, 0, 0)])), Err(Error::Argument(6)));
    assert_eq!(one(rule(&["read"], ScmpActNotify, vec![])), Err(Error::NoListener));
    assert_eq!(one(rule(&["read", "write"], ScmpActNotify, vec![])), Err(Error::Notify("for write")));
    let with_errno = |action, errno| one(rule(&["read"], action, vec![]).set_errno_ret(Some(errno)).clone());
    assert_eq!(with_errno(ScmpActErrno, 4096), Err(Error::Errno { errno: 4096, most: 4095 }));
    assert_eq!(with_errno(ScmpActAllow, 1), Err(Error::NoErrno(ScmpActAllow)));
    let long = (0..700).map(|value| rule(&["read"], ScmpActAllow, vec![arg(0, equal, value << 32, 0), arg(1, equal, value, 0)]));
    assert!(matches!(compile(&seccomp(ScmpActErrno, &[], long.collect())), Err(Error::TooLong(4097..))));
    let names = rule(&["no_such_call", ""], ScmpActAllow, vec![]);
    assert_eq!(one(names), Ok(()), "unknown names are skipped");
}

#[test]
fn arguments_behind_a_pointer() {
    use LinuxSeccompAction::*;
    let equal = LinuxSeccompOperator::ScmpCmpEq;
    let [socket, bind] = [1, 2];
    let one = |default, entry| program(&seccomp(default, &[Arch::ScmpArchX86], vec![entry]), Abi::X86_64);
    let refused = one(ScmpActAllow, rule(&["socket"], ScmpActErrno, vec![]));
    assert_eq!([socket, bind].map(|call| answer(&refused, I386, "socketcall", &[call])), [EPERM, ALLOW]);
    let partly = one(ScmpActAllow, rule(&["socket"], ScmpActErrno, vec![arg(0, equal, 40, 0)]));
    assert_eq!([socket, bind].map(|call| answer(&partly, I386, "socketcall", &[call])), [EPERM, ALLOW]);
    let permitted = one(ScmpActErrno, rule(&["socket", "socketcall"], ScmpActAllow, vec![arg(0, equal, 40, 0)]));
    assert_eq!(answer(&permitted, I386, "socketcall", &[socket]), EPERM);
    assert_eq!(answer(&permitted, I386, "socket", &[40]), ALLOW);
}

/// Each call has its own answer, and far jumps.
#[test]
fn long_programs() {
    use LinuxSeccompOperator::*;
    let names: Vec<&str> = table::all().iter().map(|call| call.name).collect();
    let mut rules = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let condition = if at % 5 == 0 { vec![arg(0, ScmpCmpGt, 7 << 32, 0)] } else { vec![] };
        let mut entry = rule(&[name], LinuxSeccompAction::ScmpActErrno, condition);
        entry.set_errno_ret(Some(100 + at as u32));
        rules.push(entry);
    }
    let seccomp = seccomp(LinuxSeccompAction::ScmpActErrno, &[Arch::ScmpArchX86, Arch::ScmpArchX32], rules);
    let program = program(&seccomp, Abi::X86_64);
    assert!((1500..LONGEST).contains(&program.len()), "{}", program.len());
    for (arch, base) in [(X86_64, 0), (X86_64, X32_BIT), (I386, 0)] {
        for nr in (0..560).map(|nr| nr | base) {
            for value in [0, 7 << 32, 8 << 32] {
                let args = [value; 6];
                assert_eq!(run(&program, arch, nr, args).0, read(&seccomp, Abi::X86_64, arch, nr, args));
            }
        }
    }
}

/// Values around which comparisons of halves go wrong.
const VALUES: [u64; 12] =
    [0, 1, 2, 5, 40, 0x7fff_ffff, 0xffff_ffff, 0x1_0000_0000, 0x1_0000_0005, 0x5_0000_0001, u64::MAX - 1, u64::MAX];
const NAMES: [&str; 14] = [
    "read",
    "write",
    "open",
    "close",
    "socket",
    "bind",
    "socketcall",
    "semop",
    "ipc",
    "execve",
    "ioctl",
    "set_tls",
    "clone3",
    "no_such_call",
];

fn any_value() -> impl Strategy<Value = u64> {
    prop_oneof![4 => prop::sample::select(&VALUES[..]), 1 => any::<u64>()]
}

fn any_action() -> impl Strategy<Value = LinuxSeccompAction> {
    use LinuxSeccompAction::*;
    prop::sample::select(vec![ScmpActKillProcess, ScmpActTrap, ScmpActErrno, ScmpActTrace, ScmpActLog, ScmpActAllow])
}

fn any_arg() -> impl Strategy<Value = LinuxSeccompArg> {
    use LinuxSeccompOperator::*;
    let ops = vec![ScmpCmpNe, ScmpCmpLt, ScmpCmpLe, ScmpCmpEq, ScmpCmpGe, ScmpCmpGt, ScmpCmpMaskedEq];
    (0..3_usize, prop::sample::select(ops), any_value(), any_value())
        .prop_map(|(index, op, value, other)| arg(index, op, value, other))
}

fn any_rule() -> impl Strategy<Value = LinuxSyscall> {
    let names = prop::collection::vec(prop::sample::select(&NAMES[..]), 1..4);
    (names, any_action(), prop::collection::vec(any_arg(), 0..3)).prop_map(|(names, action, args)| rule(&names, action, args))
}

fn any_seccomp() -> impl Strategy<Value = LinuxSeccomp> {
    let arches = [Arch::ScmpArchNative, Arch::ScmpArchX86, Arch::ScmpArchX32, Arch::ScmpArchArm, Arch::ScmpArchMips];
    let arches = prop::sample::subsequence(arches.to_vec(), 0..=5);
    (any_action(), arches, prop::collection::vec(any_rule(), 0..12))
        .prop_map(|(default, arches, rules)| seccomp(default, &arches, rules))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_profile_reads_as_it_says(
        seccomp in any_seccomp(),
        native in prop::sample::select(vec![Abi::X86_64, Abi::Aarch64]),
        probes in prop::collection::vec(([any_value(), any_value(), any_value()], any::<u32>()), 6),
    ) {
        let program = program(&seccomp, native);
        let mut numbers = vec![0x3fff_ffff, u32::MAX];
        for call in NAMES.iter().filter_map(|name| table::find(name)) {
            for number in native.family().iter().filter_map(|abi| abi.number(call)) {
                numbers.extend([number.saturating_sub(1), number, number + 1]);
            }
        }
        for ([a, b, c], random) in probes {
            for arch in [X86_64, I386, Abi::Aarch64.audit(), Abi::Arm.audit(), 8] {
                for &nr in numbers.iter().chain([&random]) {
                    let args = [a, b, c, 0, 0, 0];
                    prop_assert_eq!(run(&program, arch, nr, args).0, read(&seccomp, native, arch, nr, args), "{:#x} {} {:x?}", arch, nr, args);
                }
            }
        }
    }
}
