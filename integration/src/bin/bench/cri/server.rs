//! A daemon, the connection to it, and its end.

use std::fs::{self, File};
use std::future::Future;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use cri::image_service_client::ImageServiceClient;
use cri::runtime_service_client::RuntimeServiceClient;
use integration::containerd::Place;
use integration::env::within;
use integration::leaks;
use tonic::transport::{Channel, Endpoint};

use super::plan::{Plan, plan};
use crate::measure::Named;

/// How long a daemon has until it is ready, and to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest message, as the kubelet has it.
const MESSAGE: usize = 16 << 20;

/// The calls about pods and containers.
pub(super) type Client = RuntimeServiceClient<Channel>;

/// A daemon of the bench's own. It ends with this, with all its pods.
#[derive(Debug)]
pub(super) struct Server {
    who: String,
    daemon: Child,
    plan: Plan,
    pub(super) place: Place,
    /// The image of containers.
    pub(super) image: String,
    runtime: tokio::runtime::Runtime,
    channel: Channel,
    _folders: [tempfile::TempDir; 2],
}

impl Named for Server {
    fn name(&self) -> &str {
        &self.who
    }
}

/// With what belongs to one measurement.
impl<T> Named for (&Server, T) {
    fn name(&self) -> &str {
        &self.0.who
    }
}

impl Server {
    /// Starts the daemon of `who`, waits until it is ready, and has it pull the image of containers.
    pub(super) fn start(who: &str, ours: &Path, registry: &str) -> Result<Server> {
        // on the disk, as the layers are to be
        let folder = tempfile::Builder::new().prefix("bench-cri-").tempdir_in("/var/tmp")?;
        // sockets live here: their whole path may have 107 bytes (unix(7))
        let run = tempfile::Builder::new().prefix("bc-").tempdir_in("/run")?;
        // cgroups are seen from all process namespaces, in which two benches may have the same number
        let cgroup = folder.path().file_name().context("no name")?.to_string_lossy().into_owned();
        let bridge = cgroup.replace("bench-cri-", "bc-");
        let place = Place { folder: folder.path().to_owned(), run: run.path().to_owned(), bridge, cgroup, looks: 10 };
        let plan = plan(who, ours, &place, registry)?;
        for (name, text) in &plan.files {
            let path = place.folder.join(name);
            fs::create_dir_all(path.parent().context("no folder")?)?;
            fs::write(path, text)?;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let channel = {
            let _inside = runtime.enter();
            Endpoint::new(format!("unix://{}", plan.socket.display()))?.timeout(PATIENCE).connect_lazy()
        };
        let log = File::create(place.folder.join("log"))?;
        let daemon = Command::new(&plan.program)
            .args(&plan.args)
            .env("HOME", &place.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("run {}", plan.program.display()))?;
        let image = format!("{registry}/{}", crate::BUSYBOX);
        let mut server = Server { who: who.to_owned(), daemon, plan, place, image, runtime, channel, _folders: [folder, run] };
        server.wait_until_ready()?;
        server.pull()?;
        Ok(server)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let mut ended = false;
        let ready = within(PATIENCE, || {
            ended = self.daemon.try_wait().is_ok_and(|status| status.is_some());
            ended || self.is_ready()
        });
        if ready && !ended {
            return Ok(());
        }
        let log = fs::read_to_string(self.place.folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        bail!("{} is not ready:\n{}", self.plan.program.display(), lines[lines.len().saturating_sub(20)..].join("\n"))
    }

    /// Whether it answers, and says that containers and network are ready.
    fn is_ready(&self) -> bool {
        let mut client = self.client();
        let status = self.wait(async move { client.status(cri::StatusRequest { verbose: false }).await });
        let conditions = status.ok().and_then(|answer| answer.into_inner().status).map(|status| status.conditions);
        let is = |kind: &str| conditions.iter().flatten().any(|condition| condition.r#type == kind && condition.status);
        is("RuntimeReady") && is("NetworkReady")
    }

    fn pull(&self) -> Result<()> {
        let image = Some(cri::ImageSpec { image: self.image.clone(), ..Default::default() });
        let mut client = ImageServiceClient::new(self.channel.clone());
        self.wait(client.pull_image(cri::PullImageRequest { image, ..Default::default() }))
            .map_err(|status| anyhow::anyhow!("PullImage {}: {}", self.image, status.message()))?;
        Ok(())
    }

    /// Its name in the table.
    pub(super) fn who(&self) -> &str {
        &self.who
    }

    pub(super) fn is_ours(&self) -> bool {
        self.who == "ours"
    }

    pub(super) fn client(&self) -> Client {
        Client::new(self.channel.clone()).max_decoding_message_size(MESSAGE).max_encoding_message_size(MESSAGE)
    }

    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// The daemon and its helpers: by the name of the process, and by its command line or its cgroup, because others may have such, too.
    pub(super) fn processes(&self) -> Vec<u32> {
        let all = fs::read_dir("/proc").into_iter().flatten().flatten();
        let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        numbers.filter(|pid| *pid == self.daemon.id() || self.is_helper(*pid)).collect()
    }

    fn is_helper(&self, pid: u32) -> bool {
        let read = |name: &str| {
            let bytes = fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        self.plan.helpers.iter().any(|name| read("comm").trim_end().starts_with(name))
            && (read("cmdline").contains(&*self.place.run.to_string_lossy()) || read("cgroup").contains(&self.place.cgroup))
    }

    /// Removes all pods, as far as it goes.
    pub(super) fn clear(&self) {
        if let Err(error) = self.remove_all() {
            eprintln!("bench: {}: pods are left: {error:#}", self.who);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.daemon.try_wait().is_ok_and(|status| status.is_none()) {
            self.clear();
            let pid = i32::try_from(self.daemon.id()).ok().and_then(rustix::process::Pid::from_raw);
            let _ = pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::TERM));
            if !within(PATIENCE, || self.daemon.try_wait().is_ok_and(|status| status.is_some())) {
                let _ = self.daemon.kill();
                let _ = self.daemon.wait();
            }
        }
        let Place { folder, run, bridge, cgroup, .. } = &self.place;
        leaks::clear_caller(&[folder, run], cgroup);
        let _ = Command::new("ip").args(["link", "delete", bridge]).stderr(Stdio::null()).status();
        let _ = Command::new("nft").args(["delete", "table", "ip", bridge]).stderr(Stdio::null()).status();
    }
}
