//! Whether this host can execute programs of another processor: its kernel asks binfmt_misc for who does it (proc_sys_fs_binfmt_misc(5)).

use images::Platform;

use super::failure::BuildError;

/// Where handlers are, each with a file.
const HANDLERS: &str = "/proc/sys/fs/binfmt_misc";

/// Refuses to run what nothing on this host can execute, which would say no more than `exec format error`.
pub(super) fn check(architecture: &str, host: &Platform) -> Result<(), BuildError> {
    if runs(architecture, &host.architecture) {
        return Ok(());
    }
    let texts = std::fs::read_dir(HANDLERS).into_iter().flatten().flatten();
    let mut handlers = texts.filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
    match header(architecture) {
        // Not known here: the kernel may know better.
        None => Ok(()),
        Some(header) if handlers.any(|text| takes(&text, &header)) => Ok(()),
        Some(_) => Err(BuildError::Invalid(format!(
            "this host is {} and executes no programs for {architecture}: RUN needs an emulator, such as qemu-user-static, registered in \
             {HANDLERS}",
            host.architecture
        ))),
    }
}

/// What processors execute by themselves.
fn runs(architecture: &str, host: &str) -> bool {
    architecture.is_empty() || architecture == host || matches!((architecture, host), ("386", "amd64") | ("arm", "arm64"))
}

/// The first bytes of a program (elf(5)).
fn header(architecture: &str) -> Option<[u8; 20]> {
    // class: 1 for 32 bits, 2 for 64; data: 1 for little endian, 2 for big; machine
    let (class, data, machine): (u8, u8, u16) = match architecture {
        "386" => (1, 1, 3),
        "amd64" => (2, 1, 62),
        "arm" => (1, 1, 40),
        "arm64" => (2, 1, 183),
        "ppc64le" => (2, 1, 21),
        "s390x" => (2, 2, 22),
        "riscv64" => (2, 1, 243),
        "loong64" => (2, 1, 258),
        "mips64le" => (2, 1, 8),
        _ => return None,
    };
    let order = |number: u16| if data == 1 { number.to_le_bytes() } else { number.to_be_bytes() };
    let mut header = [0; 20];
    header[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, data, 1]);
    header[16..18].copy_from_slice(&order(2));
    header[18..].copy_from_slice(&order(machine));
    Some(header)
}

/// Whether a handler, as its file describes it, takes a program that begins so.
fn takes(handler: &str, header: &[u8; 20]) -> bool {
    let field = |name: &str| handler.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let bytes = |text: &str| -> Option<Vec<u8>> {
        (0..text.len() / 2).map(|at| u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()).collect()
    };
    let enabled = handler.lines().next() == Some("enabled");
    let (Some("0"), Some(magic)) = (field("offset "), field("magic ").and_then(bytes)) else { return false };
    let mask = field("mask ").and_then(bytes).unwrap_or_else(|| vec![0xff; magic.len()]);
    let fits = |((own, magic), mask): ((&u8, &u8), &u8)| own & mask == magic & mask;
    enabled && magic.len() <= header.len() && header.iter().zip(&magic).zip(&mask).all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARM64: &str = "enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: OCF\noffset 0\n\
        magic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff\n";

    #[test]
    fn handlers_are_found_by_their_magic() {
        assert!(takes(ARM64, &header("arm64").unwrap()));
        for other in ["amd64", "riscv64", "s390x", "arm"] {
            assert!(!takes(ARM64, &header(other).unwrap()), "{other}");
        }
        assert!(!takes(&ARM64.replace("enabled", "disabled"), &header("arm64").unwrap()));
        assert!(!takes("enabled\n", &header("arm64").unwrap()) && !takes("", &header("arm64").unwrap()));
    }

    #[test]
    fn some_processors_are_two() {
        assert!(runs("amd64", "amd64") && runs("386", "amd64") && runs("", "amd64") && !runs("arm64", "amd64"));
    }
}
