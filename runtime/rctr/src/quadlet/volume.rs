//! `NAME.volume`: a service that makes a volume.

use super::keys::How;
use super::units::Making;

const TABLE: &[(&str, How)] = &[
    ("Label", How::Words("--label")),
    ("Driver", How::Last("--driver")),
    ("VolumeName", How::Own),
    ("Type", How::Prefixed("--opt", "type=")),
    ("Device", How::Prefixed("--opt", "device=")),
    ("Options", How::Own),
    ("User", How::Own),
    ("UID", How::Own),
    ("Group", How::Own),
    ("GID", How::Own),
    ("Copy", How::Only("true", "a volume gets what the image has; Volume= of a container has the option nocopy")),
    ("Image", How::Never("there is no driver image; Mount=type=image of a container shows one")),
];

pub(super) fn service(making: &mut Making<'_>) -> Result<(), String> {
    let unit = making.unit.clone();
    let keys = making.keys(&unit);
    let mut command = keys.command(making.program, &["volume", "create"], TABLE)?;
    let mut options: Vec<String> = keys.last("Options").map(str::to_owned).into_iter().collect();
    for (option, names) in [("uid", ["User", "UID"]), ("gid", ["Group", "GID"])] {
        for value in names.iter().filter_map(|name| keys.last(name)) {
            if value.parse::<u32>().is_err() {
                return Err(format!("{}={value}: a volume is given to a number", names[0]));
            }
            options.push(format!("{option}={value}"));
        }
    }
    if !options.is_empty() {
        command.extend(["--opt".to_owned(), format!("o={}", options.join(","))]);
    }
    command.extend(keys.words("PodmanArgs")?);
    command.push(making.resource.clone());
    making.once(&command);
    Ok(())
}
