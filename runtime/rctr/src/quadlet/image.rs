//! `NAME.image`: a service that pulls an image.

use super::keys::{How, platform};
use super::units::Making;

pub(super) const LOGIN: &str = "log in with rctr login, or name a file of logins with AuthFile=";

const TABLE: &[(&str, How)] = &[
    ("AllTags", How::Switch(&["--all-tags"])),
    ("Arch", How::Own),
    ("OS", How::Own),
    ("Variant", How::Own),
    ("TLSVerify", How::Own),
    ("AuthFile", How::Own),
    ("Image", How::Own),
    ("ImageTag", How::Own),
    (
        "Policy",
        How::Only(
            "always",
            "the image is pulled when the unit is started, and Pull= of a container says when it is pulled besides",
        ),
    ),
    ("CertDir", How::Never("certificates of registries are in /etc/docker/certs.d and /etc/containers/certs.d")),
    ("Creds", How::Never(LOGIN)),
    ("DecryptionKey", How::Never("rctr does not decrypt images")),
    ("Retry", How::Never("a pull goes on where it was interrupted; Restart=on-failure of [Service] tries again")),
    ("RetryDelay", How::Never("RestartSec= of [Service] has it")),
];

pub(super) fn service(making: &mut Making<'_>) -> Result<(), String> {
    let unit = making.unit.clone();
    let keys = making.keys(&unit);
    let mut command = keys.command(making.program, &["pull", "--quiet"], TABLE)?;
    if let Some(platform) = platform(&keys)? {
        command.extend(["--platform".to_owned(), platform]);
    }
    if keys.is_true("TLSVerify")? == Some(false) {
        command.push("--tls-verify=false".to_owned());
    }
    command.extend(keys.words("PodmanArgs")?);
    command.push(keys.last("Image").ok_or("Image= says what to pull")?.to_owned());
    if let Some(file) = keys.last("AuthFile") {
        making.unit.add("Service", "Environment", &super::words::join(&[format!("REGISTRY_AUTH_FILE={}", keys.path(file))]));
    }
    making.once(&command);
    Ok(())
}
