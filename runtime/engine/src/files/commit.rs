//! `commit`: what a container has written as a layer on top of its image.

use images::{Change, Image, LayerOptions, NewImage, Reference};
use launch::Status;
use serde_json::{Map, Value, json};

use crate::create::{Folder, in_charge, take_charge};
use crate::request::{MountSource, UserMap};
use crate::{Engine, Error, Record, recover, signals, state};

/// How to commit.
#[derive(Debug, Default)]
pub struct CommitRequest {
    /// The image's name; none: it is found by its id only.
    pub name: Option<Reference>,
    /// Who made it.
    pub author: String,
    /// What the history says about it.
    pub message: String,
    /// How it runs, on top of how the container runs, in the order in which they count.
    pub changes: Vec<Change>,
    /// Stop a running container's processes meanwhile, so that its files belong together.
    pub pause: bool,
    /// The present time, as RFC 3339 has it.
    pub created: String,
}

impl Engine {
    /// Makes an image of a container: its image's layers, and one more with what it has written, unless that is nothing. Volumes are no part
    /// of it.
    pub fn commit(&self, given: &str, request: &CommitRequest) -> Result<Image, Error> {
        let container = self.container(given)?;
        if container.is_running() {
            let stopped =
                request.pause && !matches!(container.status, Status::Paused { .. }) && self.pause(&container.record.id).is_ok();
            let made = self.image_of(&container.record, request);
            if stopped {
                let resumed = self.unpause(&container.record.id);
                return made.and_then(|image| resumed.map(|()| image));
            }
            return made;
        }
        let id = &container.record.id;
        let lock = Folder::lock(&self.config, id)?;
        if in_charge(&self.config.container(id)) {
            self.settle_start(id)?;
        }
        let container = state::load(&self.config, id)?.ok_or_else(|| Error::NoSuchContainer(given.to_owned()))?;
        if container.is_running() {
            drop(lock);
            return self.image_of(&container.record, request);
        }
        let _charge = take_charge(&lock)?;
        recover::leftovers(&self.config, id, Some(&container.record))?;
        self.image_of(&container.record, request)
    }

    fn image_of(&self, record: &Record, request: &CommitRequest) -> Result<Image, Error> {
        if let Some(own) = &record.rootfs {
            let why = format!("it has no image, but the folder {}: make one with export and import", own.path.display());
            return Err(Error::Invalid { what: format!("commit of container {}", record.name), why });
        }
        let base = self.images.image(&record.image.id.to_string())?;
        let _lease = self.images.hold(&base)?;
        let damaged = |source| Error::Damaged { path: format!("config {}", base.id).into(), source };
        let mut config: Map<String, Value> = serde_json::from_slice(&self.images.config_bytes(&base)?).map_err(damaged)?;
        let mut run = match config.remove("config") {
            Some(Value::Object(run)) => run,
            _ => Map::new(),
        };
        as_it_runs(record, &base, &mut run);
        images::apply_changes(&request.changes, &mut run).map_err(images::Error::from)?;
        config.insert("config".to_owned(), run.into());
        config.insert("created".to_owned(), json!(request.created));
        config.insert("author".to_owned(), json!(request.author));
        let owners = record.namespaces.users.as_ref().map(UserMap::owners).unwrap_or_default();
        let options = LayerOptions { owners, ..LayerOptions::default() };
        let new = self.images.layer_of(&record.writable(&self.config).join("upper"), &options)?;
        let entry = json!({
            "created": request.created, "created_by": record.args().join(" "), "author": request.author, "comment": request.message,
            "empty_layer": new.is_none(),
        });
        NewImage::history(&mut config, entry);
        let layers: Vec<_> = base.layers.iter().chain(new.as_ref().map(|new| &new.layer)).cloned().collect();
        let names: Vec<_> = request.name.iter().cloned().collect();
        Ok(self.images.make_image(&NewImage { config, layers: &layers, names: &names })?)
    }
}

/// What the container says about how it runs, in place of what its image says.
fn as_it_runs(record: &Record, base: &Image, run: &mut Map<String, Value>) {
    let words = |words: &[String]| if words.is_empty() { Value::Null } else { json!(words) };
    let mut set = |key: &str, value: Value| drop(run.insert(key.to_owned(), value));
    set("Entrypoint", words(&record.entrypoint));
    set("Cmd", words(&record.cmd));
    set("Env", json!(record.env));
    set("User", json!(record.user));
    set("Labels", json!(record.labels));
    set("StopSignal", json!(signals::name(record.stop_signal)));
    // The root is where everything runs that says nothing.
    let workdir = if record.workdir == "/" { &base.config.config.working_dir } else { &record.workdir };
    set("WorkingDir", json!(workdir));
    let published = record.ports.iter().map(|port| format!("{}/{}", port.container_port, port.protocol));
    let exposed: Map<String, Value> = record.exposed.iter().cloned().chain(published).map(|port| (port, json!({}))).collect();
    set("ExposedPorts", if exposed.is_empty() { Value::Null } else { exposed.into() });
    let own = record.mounts.iter().filter(|mount| matches!(mount.source, MountSource::Volume { anonymous: true, .. }));
    let own = own.map(|mount| mount.target.display().to_string());
    let volumes: Map<String, Value> = base.config.config.volumes.iter().cloned().chain(own).map(|path| (path, json!({}))).collect();
    set("Volumes", if volumes.is_empty() { Value::Null } else { volumes.into() });
}
