//! How much of its file system a container's own files may take: by a quota of a project, where the file system has such, as with Docker.
//!
//! The project's number comes from the container's id. Its limit stays behind when the container goes, and means nothing: a project that takes
//! nothing is free for another.

use std::path::Path;

use rustix::io::Errno;

use crate::Error;
use crate::error::During;

/// Numbers of ours have this bit: below are those that people give by hand (projid(5)).
const OURS: u32 = 1 << 30;
/// Numbers that are tried.
const TRIES: u32 = 64;

/// Limits what is in the folder `own` of the container `id`, which has been made just now, to so many bytes.
///
/// # Errors
/// The file system has no quotas of projects, or they are switched off.
pub(crate) fn limit(own: &Path, id: &str, bytes: u64) -> Result<(), Error> {
    let why = |error: sys::Error| match error.errno() {
        Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOTTY | Errno::SRCH | Errno::INVAL => {
            let what = format!("a size of the container's own files, in {}", own.parent().unwrap_or(own).display());
            let why =
                format!("that file system has no quotas of projects: XFS and ext4 have, where mounted with prjquota ({error})");
            Error::Invalid { what, why }
        }
        _ => Error::System { what: format!("limit what is in {}", own.display()), source: error },
    };
    let folder = sys::fs::open_dir(own).during(|| format!("limit what is in {}", own.display()))?;
    let first = u32::from_str_radix(&id[..8], 16).unwrap_or_default();
    let numbers = (0..TRIES).map(|next| OURS | (first.wrapping_add(next) & (OURS - 1)));
    for number in numbers {
        let (taken, _) = sys::quota::project(&folder, number).map_err(why)?;
        if taken > 0 {
            continue;
        }
        sys::quota::limit_project(&folder, number, bytes).map_err(why)?;
        for name in ["upper", "work"] {
            let part = sys::fs::open_dir(own.join(name)).during(|| format!("limit what is in {}", own.display()))?;
            sys::quota::put_into_project(&part, number).map_err(why)?;
        }
        return Ok(());
    }
    Err(Error::Invalid {
        what: format!("a project for what is in {}", own.display()),
        why: "all that were tried are taken".to_owned(),
    })
}
