//! Images: which are pulled, and as whom.

use api::kinds::pod::Pod;

use super::super::fetch;
use super::{Failure, Shared, sources_of};
use crate::cri::local;

/// What to do about an image.
#[derive(Debug, PartialEq, Eq)]
enum Image {
    Use,
    Pull,
    Missing,
}

fn image(policy: &str, present: bool) -> Image {
    match (policy, present) {
        ("Never", false) => Image::Missing,
        ("Never" | "IfNotPresent" | "", true) => Image::Use,
        _ => Image::Pull,
    }
}

/// Sees that an image is there, as the policy says. `tell` hears what is done: a reason and a message.
pub(super) async fn pull(
    shared: &Shared,
    pod: &Pod,
    (name, policy): (&str, &str),
    tell: &(dyn Fn(&str, &str) + Sync),
) -> Result<(), Failure> {
    let reference: images::Reference =
        name.parse().map_err(|error| ("InvalidImageName", format!("Failed to apply default image tag {name:?}: {error}")))?;
    let said = |status: tonic::Status| ("ErrImagePull", status.message().to_owned());
    let present = local::image(&shared.node, name).await.map_err(said)?.is_some();
    match image(policy, present) {
        Image::Use => {
            tell("Pulled", &format!("Container image {name:?} already present on machine"));
            Ok(())
        }
        Image::Missing => Err(("ErrImageNeverPull", format!("Container image {name:?} is not present with pull policy of Never"))),
        Image::Pull => {
            let mut login = None;
            if !pod.spec.image_pull_secrets.is_empty() {
                let sources = sources_of(shared, pod, true).await.map_err(|why| ("ErrImagePull", why))?;
                login = fetch::login(pod, &sources, reference.registry());
            }
            tell("Pulling", &format!("Pulling image {name:?}"));
            let begin = std::time::Instant::now();
            local::pull(&shared.node, name, login).await.map_err(said)?;
            shared.pulled.notify_one();
            tell("Pulled", &format!("Successfully pulled image {name:?} in {:.3}s", begin.elapsed().as_secs_f64()));
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_say_when_an_image_is_pulled() {
        for (policy, present, expected) in [
            ("Always", true, Image::Pull),
            ("Always", false, Image::Pull),
            ("IfNotPresent", true, Image::Use),
            ("IfNotPresent", false, Image::Pull),
            ("Never", true, Image::Use),
            ("Never", false, Image::Missing),
        ] {
            assert_eq!(image(policy, present), expected, "{policy} {present}");
        }
    }
}
