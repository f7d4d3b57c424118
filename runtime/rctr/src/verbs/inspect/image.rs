//! An image in the shape of Docker's API.

use images::{Image, Reference};
use serde_json::{Value, json};

/// The value that templates and scripts read.
pub(crate) fn shape(image: &Image) -> Value {
    let (config, run) = (&image.config, &image.config.config);
    let tags: Vec<_> = image.names.iter().filter(|name| name.tag().is_some()).map(Reference::familiar).collect();
    let mut digests: Vec<_> = image.names.iter().map(|name| format!("{}@{}", name.familiar_name(), image.target)).collect();
    digests.dedup();
    let keys = |names: Vec<&String>| -> Value {
        names.into_iter().map(|name| (name.clone(), json!({}))).collect::<serde_json::Map<_, _>>().into()
    };
    let mut shape = json!({
        "Id": image.id,
        "RepoTags": tags,
        "RepoDigests": digests,
        "Comment": config.history.last().map_or("", |step| step.comment.as_str()),
        "Created": config.created,
        "Author": config.author,
        "Architecture": config.architecture,
        "Variant": config.variant,
        "Os": config.os,
        "Size": image.size,
        "Config": {
            "User": run.user,
            "ExposedPorts": keys(run.exposed_ports.iter().collect()),
            "Env": run.env,
            "Entrypoint": run.entrypoint,
            "Cmd": run.cmd,
            "Volumes": keys(run.volumes.iter().collect()),
            "WorkingDir": run.working_dir,
            "Labels": run.labels,
            "StopSignal": run.stop_signal,
        },
        "RootFS": { "Type": "layers", "Layers": image.layers.iter().map(|layer| &layer.diff_id).collect::<Vec<_>>() },
    });
    // Docker leaves these out where an image says nothing of them.
    for (name, value) in [("Healthcheck", &run.healthcheck), ("Shell", &run.shell), ("OnBuild", &run.on_build)] {
        if let Some(value) = value {
            shape["Config"][name] = value.clone();
        }
    }
    shape
}
