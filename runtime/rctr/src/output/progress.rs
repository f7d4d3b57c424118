//! A pull, push, load or save as it goes: a bar per layer on a terminal, a line per step elsewhere.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::sync::Mutex;

use images::{Digest, Event, Progress};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::output::amount;

/// What is said of a layer on its way, there already, and done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words {
    going: &'static str,
    exists: &'static str,
    done: &'static str,
}

pub(crate) const PULL: Words = Words { going: "Pulling", exists: "Already exists", done: "Pull complete" };
pub(crate) const PUSH: Words = Words { going: "Pushing", exists: "Layer already exists", done: "Pushed" };

pub(crate) const COPY: Words = Words { going: "Copying", exists: "Already exists", done: "Copied" };
pub(crate) const LOAD: Words = Words { going: "Loading", exists: "Already exists", done: "Loaded" };
pub(crate) const SAVE: Words = Words { going: "Saving", exists: "Already saved", done: "Saved" };

/// Shows the work on standard error, so that standard output has only results.
pub(crate) fn shown(words: Words, quiet: bool) -> Box<dyn Progress> {
    match (quiet, io::stderr().is_terminal()) {
        (true, _) => Box::new(()),
        (false, true) => Box::new(Bars { words, all: MultiProgress::default(), bars: Mutex::default() }),
        (false, false) => Box::new(Lines { words, sizes: Mutex::default() }),
    }
}

struct Lines {
    words: Words,
    sizes: Mutex<BTreeMap<Digest, u64>>,
}

impl Progress for Lines {
    fn event(&self, event: Event<'_>) {
        let Ok(mut sizes) = self.sizes.lock() else { return };
        match event {
            Event::Layers(layers) => sizes.extend(layers.iter().cloned()),
            Event::Exists(digest) => eprintln!("{}: {}", digest.short(), self.words.exists),
            Event::Mounted { digest, from } => eprintln!("{}: Mounted from {from}", digest.short()),
            Event::Waiting(digest) => eprintln!("{}: Waiting for another pull", digest.short()),
            Event::Done(digest) => {
                let size = sizes.get(digest).copied().unwrap_or_default();
                eprintln!("{}: {} ({})", digest.short(), self.words.done, amount::size(size));
            }
            Event::Retrying { what, why, after } => eprintln!("{what}: {why}, trying again in {:.1} s", after.as_secs_f64()),
            _ => {}
        }
    }
}

struct Bars {
    words: Words,
    all: MultiProgress,
    bars: Mutex<BTreeMap<Digest, ProgressBar>>,
}

impl Progress for Bars {
    fn event(&self, event: Event<'_>) {
        let Ok(mut bars) = self.bars.lock() else { return };
        let said = |bars: &BTreeMap<Digest, ProgressBar>, digest: &Digest, text: &str| {
            if let Some(bar) = bars.get(digest) {
                bar.set_message(text.to_owned());
            }
        };
        match event {
            Event::Layers(layers) => bars.extend(layers.iter().map(|(digest, size)| (digest.clone(), self.bar(digest, *size)))),
            Event::Exists(digest) => {
                said(&bars, digest, self.words.exists);
                bars.get(digest).inspect(|bar| bar.finish());
            }
            Event::Waiting(digest) => said(&bars, digest, "Waiting for another pull"),
            Event::Mounted { digest, from } => {
                said(&bars, digest, &format!("Mounted from {from}"));
                bars.get(digest).inspect(|bar| bar.finish());
            }
            Event::Downloaded { digest, bytes } | Event::Uploaded { digest, bytes } => {
                said(&bars, digest, self.words.going);
                bars.get(digest).inspect(|bar| bar.set_position(bytes));
            }
            Event::Done(digest) => {
                said(&bars, digest, self.words.done);
                bars.get(digest).inspect(|bar| bar.finish());
            }
            Event::Retrying { what, why, after } => {
                let _ = self.all.println(format!("{what}: {why}, trying again in {:.1} s", after.as_secs_f64()));
            }
            _ => {}
        }
    }
}

impl Bars {
    fn bar(&self, digest: &Digest, size: u64) -> ProgressBar {
        let template = "{prefix}: {msg:24} [{bar:30}] {decimal_bytes:>10}/{decimal_total_bytes}";
        let style = ProgressStyle::with_template(template)
            .map_or_else(|_| ProgressStyle::default_bar(), |style| style.progress_chars("=> "));
        let bar =
            self.all.add(ProgressBar::new(size)).with_style(style).with_prefix(digest.short().to_owned()).with_message("Waiting");
        bar.tick();
        bar
    }
}
