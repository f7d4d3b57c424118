//! Pulls an image into a store and tells how long it took: `pull STORE REFERENCE [REGISTRIES.CONF]`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use images::{Credentials, PullOptions, Registries, Store, pull};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [store, reference, configs @ ..] = arguments.as_slice() else {
        return Err("pull STORE REFERENCE [REGISTRIES.CONF]".into());
    };
    let configs: Vec<PathBuf> = configs.iter().map(PathBuf::from).collect();
    let options =
        PullOptions { registries: Registries::load(&configs)?, credentials: Credentials::load(&[])?, ..PullOptions::default() };
    let start = Instant::now();
    let store = Store::open(Path::new(store))?;
    let pulled = pull(&store, &reference.parse()?, &options, &())?;
    let (image, time) = (pulled.image, start.elapsed());
    writeln!(std::io::stdout(), "{} {} layers, {} bytes unpacked, {time:?}", image.id, image.layers.len(), image.size)?;
    Ok(())
}
