//! The AppArmor profile of containers that name none: what their root may not do to the host, even where no other rule stops it.
//!
//! The kernel takes compiled rules only, and apparmor_parser(8) is what compiles them: once after each boot, or when somebody has taken
//! the profile out (aa-remove-unknown(8) does). A host without that program has no such profile, as with containerd.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::thread::{CapabilitySet, capabilities};

use crate::Error;
use crate::request::Security;

/// Its name.
const NAME: &str = "rctr-default";

/// Where the kernel shows profiles: each is a folder of its name and a number.
const PROFILES: &str = "/sys/kernel/security/apparmor/policy/profiles";

/// Where the program is: `PATH` is the user's.
const PARSERS: [&str; 2] = ["/usr/sbin/apparmor_parser", "/sbin/apparmor_parser"];

/// The file, in the folder of what lives as long as the host, that says which profile was loaded and which folder it is.
const NOTE: &str = "apparmor";

/// The usual profile, which is loaded if it is not there. None where it cannot be.
///
/// # Errors
/// When the program refuses it.
pub(crate) fn usual(run: &Path) -> Result<Option<&'static str>, Error> {
    let note = run.join(NOTE);
    if fs::read_to_string(&note).is_ok_and(|note| is_there(&note, &version(), Path::new(PROFILES))) {
        return Ok(Some(NAME));
    }
    let may = capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::MAC_ADMIN));
    match parser() {
        Some(parser) if may => load(parser, &note).map(|()| Some(NAME)),
        _ => Ok(None),
    }
}

/// The profile of a container as `inspect` shows it: empty where there is no AppArmor, and where nothing can load the usual one.
#[must_use]
pub fn shown(security: &Security) -> &str {
    match (&security.apparmor, security.privileged) {
        (Some(profile), _) => profile,
        (None, true) => "unconfined",
        (None, false) if can_be(Path::new(PROFILES), parser()) => NAME,
        (None, false) => "",
    }
}

/// Whether the usual profile is there, or something can load it. That AppArmor is active is not enough.
fn can_be(profiles: &Path, parser: Option<&Path>) -> bool {
    profiles.exists() && (parser.is_some() || folder(profiles).is_some())
}

fn parser() -> Option<&'static Path> {
    PARSERS.iter().map(Path::new).find(|parser| parser.exists())
}

/// Loads it, once for all that want it at the same time.
fn load(parser: &Path, note: &Path) -> Result<(), Error> {
    let failed = |why: String| Error::Invalid {
        what: format!("the AppArmor profile {NAME}"),
        why: format!("{why}; --security-opt apparmor=unconfined does without"),
    };
    let io = |error: std::io::Error| failed(format!("{}: {error}", note.display()));
    let mut file = File::options().read(true).write(true).create(true).truncate(false).open(note).map_err(io)?;
    file.lock().map_err(io)?;
    let mut said = String::new();
    file.read_to_string(&mut said).map_err(io)?;
    let version = version();
    if is_there(&said, &version, Path::new(PROFILES)) {
        return Ok(());
    }
    // Its own cache is of files, and this is none.
    let mut child = Command::new(parser)
        .args(["--replace", "--skip-cache", "--quiet"])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(format!("{}: {error}", parser.display())))?;
    // One that ends before it has read everything says why itself.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(text(Path::new("/etc/apparmor.d")).as_bytes()));
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(failed(format!("{}: {}", parser.display(), said.lines().next().unwrap_or("it failed and said nothing"))));
    }
    let folder = folder(Path::new(PROFILES)).ok_or_else(|| failed("it was loaded, and the kernel does not have it".to_owned()))?;
    file.rewind().and_then(|()| file.set_len(0)).and_then(|()| write!(file, "{version} {folder}")).map_err(io)
}

/// Whether a note is about this text, and the profile still there.
fn is_there(note: &str, version: &str, profiles: &Path) -> bool {
    let folder = note.split_once(' ').filter(|(noted, _)| *noted == version).map(|(_, folder)| folder);
    folder.is_some_and(|folder| folder.starts_with(NAME) && !folder.contains('/') && profiles.join(folder).exists())
}

/// The folder that the kernel shows it as.
fn folder(profiles: &Path) -> Option<String> {
    let mut names = fs::read_dir(profiles).ok()?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.find(|name| {
        name.strip_prefix(NAME).and_then(|rest| rest.strip_prefix('.')).is_some_and(|rest| rest.parse::<u64>().is_ok())
    })
}

/// Changes whenever the text does.
fn version() -> String {
    images::Digest::sha256(RULES.as_bytes()).hex()[..16].to_owned()
}

/// The profile for apparmor_parser, whose files are in `folder`. Its rules are of AppArmor 3: what newer ones ask about (user namespaces,
/// io_uring) is for the filter of system calls to decide.
fn text(folder: &Path) -> String {
    let abi = if folder.join("abi/3.0").exists() { "abi <abi/3.0>,\n" } else { "" };
    format!("{abi}profile {NAME} flags=(attach_disconnected, mediate_deleted) {{\n{RULES}}}\n")
}

/// apparmor.d(5). A denial wins over what is allowed.
const RULES: &str = "  file,
  network,
  capability,
  umount,

  # Those outside end its processes, which see and stop only each other.
  signal (receive) peer=unconfined,
  signal (send, receive) peer=rctr-default,
  ptrace (read, readby, trace, tracedby) peer=rctr-default,

  # The kernel's cryptography, whose holes are reached without a privilege, also by socketcall(2), whose arguments no filter sees (CVE-2026-31431).
  deny network alg,

  # Whoever can mount gets around every rule about paths.
  deny mount,

  # A process has its own folder below /proc. What is beside them is the host's.
  deny /proc/* wkl,
  deny /proc/{acpi,bus,driver,fs,irq,scsi,sys,tty}/** wkl,
  deny /proc/{kcore,kmem,mem,sysrq-trigger} rwkl,

  # Of sysfs, only cgroups are a container's.
  deny /sys/{block,bus,class,dev,devices,firmware,hypervisor,kernel,module,power}/** wkl,
  deny /sys/fs/[^c]*/** wkl,
  deny /sys/{firmware,kernel/security,devices/virtual/powercap}/** rwkl,
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_of_one_text_and_of_what_is_loaded() {
        let profiles = tempfile::tempdir().unwrap();
        assert_eq!(folder(profiles.path()), None);
        for name in ["rctr-default.7", "rctr-default-mine.8", "rctr-default", "other.9"] {
            fs::create_dir(profiles.path().join(name)).unwrap();
        }
        assert_eq!(folder(profiles.path()).as_deref(), Some("rctr-default.7"));
        let is_there = |note: &str| is_there(note, "v1", profiles.path());
        assert!(is_there("v1 rctr-default.7"));
        for wrong in ["", "v1", "v1 ", "v2 rctr-default.7", "v1 rctr-default.8", "v1 other.9", "v1 rctr-default/../other.9"] {
            assert!(!is_there(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn what_cannot_be_loaded_is_not_shown() {
        let profiles = tempfile::tempdir().unwrap();
        let parser = Some(Path::new(PARSERS[0]));
        assert!(!can_be(profiles.path(), None) && can_be(profiles.path(), parser));
        fs::create_dir(profiles.path().join("rctr-default.7")).unwrap();
        assert!(can_be(profiles.path(), None) && !can_be(&profiles.path().join("none"), parser));
    }

    #[test]
    fn the_program_reads_the_rules() {
        let Some(parser) = parser() else {
            return drop(writeln!(std::io::stderr(), "skipped: needs apparmor_parser"));
        };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("profile");
        fs::write(&file, text(Path::new("/etc/apparmor.d"))).unwrap();
        // Neither this machine's cache nor its kernel is to know.
        let output = Command::new(parser).args(["--skip-kernel-load", "--skip-cache"]).arg(&file).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
