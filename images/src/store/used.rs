//! When images were used last.
//!
//! It is the time at which the file of a name, or of a manifest's record, was changed last: by the pull that wrote it, and by uses, which set it
//! at most once a day. So a use costs a look at a time, and nothing is written on the way to a container's start.

use std::fs::{self, File, FileTimes};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::Store;
use crate::image::Image;

/// How exact it is.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Store {
    /// Notes that an image is used, under its first name. Where that cannot be noted nothing is.
    pub fn touch(&self, image: &Image) {
        let path = image.names.first().map_or_else(|| self.record_file(&image.manifest), |name| self.ref_file(name));
        let now = SystemTime::now();
        let Ok(changed) = fs::metadata(&path).and_then(|stat| stat.modified()) else { return };
        // A time that is yet to come is wrong.
        if now.duration_since(changed).is_ok_and(|ago| ago < DAY) {
            return;
        }
        let _ = File::open(&path).and_then(|file| file.set_times(FileTimes::new().set_modified(now)));
    }

    /// When an image was used last, to a day, in nanoseconds since 1970: a pull is a use.
    pub fn last_used(&self, image: &Image) -> Option<u64> {
        let files = image.names.iter().map(|name| self.ref_file(name)).chain([self.record_file(&image.manifest)]);
        files.filter_map(|file: PathBuf| modified(&file)).max()
    }
}

fn modified(file: &std::path::Path) -> Option<u64> {
    let time = fs::metadata(file).and_then(|stat| stat.modified()).ok()?;
    u64::try_from(time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_nanos()).ok()
}
