//! `NAME.build`: a service that builds an image.

use super::image::LOGIN;
use super::keys::{How, platform};
use super::units::Making;

const TABLE: &[(&str, How)] = &[
    ("ImageTag", How::Each("--tag")),
    ("BuildArg", How::Words("--build-arg")),
    ("Target", How::Last("--target")),
    ("Label", How::Words("--label")),
    ("Secret", How::Words("--secret")),
    ("Network", How::Last("--network")),
    ("Pull", How::Own),
    ("Arch", How::Own),
    ("OS", How::Own),
    ("Variant", How::Own),
    ("AuthFile", How::Own),
    ("File", How::Own),
    ("SetWorkingDirectory", How::Own),
    ("ForceRM", How::Only("true", "nothing of a build stays but its image and its cache")),
    ("TLSVerify", How::Only("true", "registries without certificates are named in registries.conf")),
    ("Annotation", How::Never("rctr build gives labels, not annotations")),
    ("Creds", How::Never(LOGIN)),
    ("DNS", How::Never("steps of a build ask whom the host asks")),
    ("DNSOption", How::Never("steps of a build ask whom the host asks")),
    ("DNSSearch", How::Never("steps of a build ask whom the host asks")),
    ("Environment", How::Never("the Dockerfile's ENV has it, or BuildArg=")),
    ("GroupAdd", How::Never("the Dockerfile's USER has it")),
    ("IgnoreFile", How::Never("it is FILE.dockerignore beside the Dockerfile, or .dockerignore")),
    ("Retry", How::Never("a pull goes on where it was interrupted; Restart=on-failure of [Service] tries again")),
    ("RetryDelay", How::Never("RestartSec= of [Service] has it")),
    ("Volume", How::Never("the Dockerfile's RUN --mount has it")),
];

pub(super) fn service(making: &mut Making<'_>) -> Result<(), String> {
    let unit = making.unit.clone();
    let keys = making.keys(&unit);
    let mut command = keys.command(making.program, &["build", "--progress", "plain"], TABLE)?;
    if keys.last("ImageTag").is_none() {
        return Err("ImageTag= names what is built".to_owned());
    }
    match keys.last("Pull") {
        None | Some("missing") => {}
        Some("always" | "true") => command.push("--pull".to_owned()),
        Some(when @ ("newer" | "never")) => command.push(format!("--pull={when}")),
        Some(other) => return Err(format!("Pull={other} is not supported: there are missing, always, newer and never")),
    }
    if let Some(platform) = platform(&keys)? {
        command.extend(["--platform".to_owned(), platform]);
    }
    let file = keys.last("File");
    let remote = |text: &str| text.contains("://") || text.starts_with("git@");
    let parent = |file: &str| file.rsplit_once('/').map_or(".", |(folder, _)| folder).to_owned();
    let context = match (keys.last("SetWorkingDirectory"), file) {
        (Some("unit"), _) => keys.path("."),
        (Some("file"), Some(file)) | (None, Some(file)) if !remote(file) => keys.path(&parent(file)),
        (Some("file"), _) => return Err("SetWorkingDirectory=file goes with File=, a file of this host".to_owned()),
        (Some(place), _) if remote(place) => place.to_owned(),
        (Some(folder), _) => keys.path(folder),
        (None, Some(file)) => file.to_owned(),
        (None, None) => return Err("neither SetWorkingDirectory= nor File= says where the context is".to_owned()),
    };
    if let Some(file) = file.filter(|file| *file != context) {
        command.extend(["--file".to_owned(), if remote(&context) { file.to_owned() } else { keys.path(file) }]);
    }
    command.extend(keys.words("PodmanArgs")?);
    command.push(context);
    if let Some(file) = keys.last("AuthFile") {
        making.unit.add("Service", "Environment", &super::words::join(&[format!("REGISTRY_AUTH_FILE={}", keys.path(file))]));
    }
    making.once(&command);
    Ok(())
}
