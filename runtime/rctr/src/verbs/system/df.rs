//! `rctr system df`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use engine::build::BuildCache;
use engine::{Container, Engine, Volume};
use images::{Digest, Image};
use serde_json::{Value, json};

use crate::context::Context;
use crate::output::amount::{rfc3339, since, size, span};
use crate::output::table::Table;
use crate::output::template;
use crate::verbs::images::created;
use crate::verbs::ps;

/// Show how much space is used, and how much could be freed
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One row for each image and container
    #[arg(short, long)]
    verbose: bool,
    /// json, a Go template, or "table TEMPLATE"
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

/// What there is.
pub(crate) struct Usage {
    pub(crate) images: Vec<Image>,
    /// With the bytes that each has written.
    pub(crate) containers: Vec<(Container, u64)>,
    /// Bytes of each layer on the disk's side of things, and how many images have it.
    layers: BTreeMap<Digest, (u64, usize)>,
    /// With the bytes that each takes.
    pub(crate) volumes: Vec<(Volume, u64)>,
    pub(crate) builds: BuildCache,
}

/// Prints sums, or everything.
pub(super) fn run(context: &Context, args: &Args) -> Result<i32> {
    let engine = context.engine()?;
    let usage = Usage::look(&engine)?;
    match (&args.format, args.verbose) {
        (None, true) => usage.print(),
        (None, false) => {
            let mut table = Table::new(&["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]);
            for row in usage.sums() {
                table.row(["Type", "TotalCount", "Active", "Size", "Reclaimable"].map(|key| template::plain(&row[key])).into());
            }
            print!("{}", table.render());
        }
        (Some(format), false) => print!("{}", template::rows(format, &usage.sums())?),
        (Some(format), true) => {
            let all = json!({"Images": usage.image_rows(), "Containers": usage.container_rows(), "Volumes": usage.volume_rows()});
            println!("{}", template::one(format, &all)?);
        }
    }
    Ok(0)
}

impl Usage {
    pub(crate) fn look(engine: &Engine) -> Result<Self> {
        let images = engine.images().images()?;
        let containers = engine.containers()?.into_iter().map(|container| {
            let written = engine.written_size(&container.record);
            (container, written)
        });
        let mut layers = BTreeMap::new();
        for image in &images {
            for digest in image.layers.iter().map(|layer| &layer.digest).collect::<BTreeSet<_>>() {
                let known = match layers.get(digest) {
                    Some((bytes, count)) => (*bytes, count + 1),
                    None => (engine.images().unpacked_size(digest)?, 1),
                };
                layers.insert(digest.clone(), known);
            }
        }
        let volumes = engine.volumes()?.into_iter().map(|volume| {
            let size = engine.volume_size(&volume);
            (volume, size)
        });
        Ok(Usage { containers: containers.collect(), images, layers, volumes: volumes.collect(), builds: engine.build_cache()? })
    }

    /// How many containers are of an image.
    pub(crate) fn users(&self, image: &Image) -> usize {
        self.containers.iter().filter(|(container, _)| container.record.image.manifest == image.manifest).count()
    }

    fn sums(&self) -> Vec<Value> {
        let active: Vec<_> = self.images.iter().filter(|image| self.users(image) > 0).collect();
        let needed: BTreeSet<_> = active.iter().flat_map(|image| &image.layers).map(|layer| &layer.digest).collect();
        let all = self.layer_bytes();
        let free = self.layers.iter().filter(|(digest, _)| !needed.contains(digest)).map(|(_, (bytes, _))| bytes).sum();
        let running = self.containers.iter().filter(|(container, _)| container.is_running()).count();
        let written = self.containers.iter().map(|(_, written)| written).sum();
        let ended = self.containers.iter().filter(|(container, _)| !container.is_running()).map(|(_, written)| written).sum();
        vec![
            sum("Images", self.images.len(), active.len(), all, free),
            sum("Containers", self.containers.len(), running, written, ended),
            self.volume_sum(),
            self.build_sum(),
        ]
    }

    /// Bytes of all layers.
    pub(crate) fn layer_bytes(&self) -> u64 {
        self.layers.values().map(|(bytes, _)| bytes).sum()
    }

    /// Bytes of an image's layers: those that others have, too, or those that none has.
    pub(crate) fn bytes(&self, image: &Image, shared: bool) -> u64 {
        let layers: BTreeSet<_> = image.layers.iter().map(|layer| &layer.digest).collect();
        let some = layers.into_iter().filter_map(|digest| self.layers.get(digest));
        some.filter(|(_, count)| (*count > 1) == shared).map(|(bytes, _)| bytes).sum()
    }

    /// What builds remember. Active is what an image has as well.
    fn build_sum(&self) -> Value {
        let steps = &self.builds.steps;
        let all = steps.iter().map(|step| step.bytes).sum::<u64>() + self.builds.mounts;
        let active = steps.iter().filter(|step| step.shared).count();
        sum("Build Cache", steps.len(), active, all, self.builds.reclaimable())
    }

    fn volume_sum(&self) -> Value {
        let unused = self.volumes.iter().filter(|(volume, _)| volume.users.is_empty());
        let (count, free) = unused.fold((0, 0), |(count, bytes), (_, more)| (count + 1, bytes + more));
        let all = self.volumes.iter().map(|(_, bytes)| bytes).sum();
        sum("Local Volumes", self.volumes.len(), self.volumes.len() - count, all, free)
    }

    fn volume_rows(&self) -> Vec<Value> {
        let row = |(volume, bytes): &(Volume, u64)| json!({"Name": volume.name, "Links": volume.users.len(), "Size": size(*bytes)});
        self.volumes.iter().map(row).collect()
    }

    fn print(&self) {
        let show = |title: &str, columns: &[(&str, &str)], rows: &[Value]| {
            let mut table = Table::new(&columns.iter().map(|(head, _)| *head).collect::<Vec<_>>());
            rows.iter().for_each(|row| table.row(columns.iter().map(|(_, key)| template::plain(&row[key])).collect()));
            println!("{title} space usage:\n\n{}", table.render());
        };
        let images = [
            ("REPOSITORY", "Repository"),
            ("TAG", "Tag"),
            ("IMAGE ID", "ID"),
            ("CREATED", "CreatedSince"),
            ("SIZE", "Size"),
            ("SHARED SIZE", "SharedSize"),
            ("UNIQUE SIZE", "UniqueSize"),
            ("CONTAINERS", "Containers"),
        ];
        show("Images", &images, &self.image_rows());
        let containers = [
            ("CONTAINER ID", "ID"),
            ("IMAGE", "Image"),
            ("COMMAND", "Command"),
            ("SIZE", "Size"),
            ("CREATED", "RunningFor"),
            ("STATUS", "Status"),
            ("NAMES", "Names"),
        ];
        show("Containers", &containers, &self.container_rows());
        show("Local Volumes", &[("VOLUME NAME", "Name"), ("LINKS", "Links"), ("SIZE", "Size")], &self.volume_rows());
    }

    /// Each image once, under its first name.
    fn image_rows(&self) -> Vec<Value> {
        let none = || "<none>".to_owned();
        let row = |image: &Image| {
            let name = image.names.first();
            json!({
                "Repository": name.map_or_else(none, images::Reference::familiar_name),
                "Tag": name.and_then(|name| name.tag()).map_or_else(none, str::to_owned),
                "ID": image.id.short(),
                "CreatedSince": format!("{} ago", span(since(created(image)))),
                "CreatedAt": rfc3339(created(image)),
                "Size": size(image.size), "SharedSize": size(self.bytes(image, true)), "UniqueSize": size(self.bytes(image, false)),
                "Containers": self.users(image),
            })
        };
        self.images.iter().map(row).collect()
    }

    fn container_rows(&self) -> Vec<Value> {
        let row = |(container, written): &(Container, u64)| {
            let mut row = ps::row(container, false);
            row["Size"] = size(*written).into();
            row
        };
        self.containers.iter().map(row).collect()
    }
}

fn sum(kind: &str, total: usize, active: usize, bytes: u64, free: u64) -> Value {
    let percent = (free * 100).checked_div(bytes).map(|percent| format!(" ({percent}%)")).unwrap_or_default();
    json!({
        "Type": kind, "TotalCount": total, "Active": active, "Size": size(bytes), "Reclaimable": format!("{}{percent}", size(free)),
    })
}
