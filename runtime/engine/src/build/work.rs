//! A root file system that can be written, on top of a stage's layers.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use images::{LayerOptions, Lower, NewLayer, Upper};

use super::failure::{BuildError, For};
use super::state::State;
use crate::{Engine, overlay};

/// The mount, and what is written to it.
#[derive(Debug)]
pub(super) struct Work {
    upper: Upper,
    root: OwnedFd,
}

impl Work {
    /// On top of what a stage has.
    pub(super) fn on(engine: &Engine, state: &State) -> Result<Work, BuildError> {
        let upper = engine.images.upper()?;
        let own = upper.folder().join("upper");
        if state.layers.is_empty() {
            let root = sys::fs::open_dir(&own).to(|| "open an empty root folder")?;
            return Ok(Work { upper, root });
        }
        let image = state.image();
        overlay::like_root(&own, engine.images.root_folder(&image)?).to(|| "make a root folder")?;
        let lower: Vec<Lower> = engine.images.lower(&image)?;
        let root = overlay::mount(&lower, upper.folder(), true)?;
        Ok(Work { upper, root })
    }

    /// On nothing.
    pub(super) fn alone(engine: &Engine) -> Result<Work, BuildError> {
        let upper = engine.images.upper()?;
        let root = sys::fs::open_dir(upper.folder().join("upper")).to(|| "open an empty root folder")?;
        Ok(Work { upper, root })
    }

    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// What was written, as a layer; nothing if nothing was.
    pub(super) fn into_layer(self, options: &LayerOptions) -> Result<Option<NewLayer>, BuildError> {
        // The last descriptor: the mount goes.
        drop(self.root);
        Ok(self.upper.into_layer(options)?)
    }
}
