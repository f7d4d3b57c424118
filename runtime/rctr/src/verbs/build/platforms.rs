//! Builds for several platforms: one after the other, and then put under one name.

use anyhow::{Result, bail};
use engine::Engine;
use engine::build::{BuildFailed, BuildRequest, Built};
use images::{Image, Platform};

use super::Args;

/// Builds `request` with `build`, once for each platform that was asked for. Answers what was built for the first of them, whose image
/// stands for all.
///
/// # Errors
/// What is asked for does not go together. What a build itself fails with is an answer.
pub(super) fn build(
    engine: &Engine,
    args: &Args,
    request: &BuildRequest,
    build: impl Fn(&BuildRequest) -> Result<Built, BuildFailed>,
) -> Result<Result<Built, BuildFailed>> {
    let platforms = distinct(&args.platform);
    if platforms.len() < 2 {
        return Ok(build(request));
    }
    if args.output.as_ref().is_some_and(|output| !output.is_image()) {
        bail!("--platform: with --output only one platform can be built for");
    }
    if args.tag.is_empty() {
        bail!("--platform: images for several platforms are found by their name: give one with --tag");
    }
    let (mut first, mut images): (Option<Built>, Vec<Image>) = (None, Vec::new());
    for platform in platforms {
        // None has the name before all of them are there.
        let request = BuildRequest { platform: Some(platform), names: Vec::new(), ..request.clone() };
        match build(&request) {
            Ok(built) => {
                images.extend(built.image.clone());
                match &mut first {
                    Some(first) => first.join(built),
                    None => first = Some(built),
                }
            }
            Err(failed) => return Ok(Err(failed)),
        }
    }
    let Some(mut built) = first else { bail!("--platform: no platform is given") };
    // The one that this host runs is what the name means for who says no platform.
    let host = Platform::host();
    images.sort_by_key(|image| !host.takes(&image.config.platform()));
    built.image = Some(engine.images().make_index(&images, &args.tag)?);
    Ok(Ok(built))
}

/// Each platform once, in their order.
fn distinct(asked: &[Platform]) -> Vec<Platform> {
    let mut all: Vec<Platform> = Vec::new();
    for platform in asked.iter().map(Platform::normalized) {
        if !all.contains(&platform) {
            all.push(platform);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_platform_is_built_for_once() {
        let asked: Vec<Platform> = ["arm64", "linux/amd64", "linux/arm64/v8"].map(|text| text.parse().unwrap()).into();
        assert_eq!(distinct(&asked).iter().map(ToString::to_string).collect::<Vec<_>>(), ["linux/arm64", "linux/amd64"]);
    }
}
