//! PullImage.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use cri::{AuthConfig, PullImageRequest, PullImageResponse};
use images::{Credentials, Given, Reference};
use tonic::Status;

use super::find;
use crate::cri::{Answer, status};
use crate::host::{chain, log};
use crate::node::Node;

/// Brings an image here, and answers its id, which is what images and containers are told apart by. It goes on when the client goes away.
pub(in crate::cri) async fn pull(node: &Arc<Node>, request: PullImageRequest) -> Answer<PullImageResponse> {
    let Asked { reference, credentials, key } = check(request)?;
    let own = Arc::clone(node);
    let image_ref = node.pulls.join(&key, move || pulled(&own, &reference, credentials)).await?;
    Ok(PullImageResponse { image_ref })
}

/// What is to be pulled.
#[derive(Debug)]
struct Asked {
    reference: Reference,
    credentials: Option<Credentials>,
    /// The same for those who may join: the image, and who asks. One who may not have it must not get it with another.
    key: String,
}

fn check(request: PullImageRequest) -> Answer<Asked> {
    let name = find::name(request.image)?;
    let reference: Reference = name.parse().map_err(status::invalid)?;
    let auth = request.auth.unwrap_or_default();
    let mut who = DefaultHasher::new();
    [&auth.username, &auth.password, &auth.auth, &auth.identity_token, &auth.registry_token].hash(&mut who);
    let key = format!("{reference} {:x}", who.finish());
    Ok(Asked { credentials: credentials(&reference, auth)?, reference, key })
}

/// What the client has handed over for this registry; none if it is nothing, or for another one.
fn credentials(reference: &Reference, auth: AuthConfig) -> Answer<Option<Credentials>> {
    let AuthConfig { username, password, auth, server_address, identity_token, registry_token } = auth;
    let none = [&username, &auth, &identity_token, &registry_token].iter().all(|text| text.is_empty());
    if none || !is_for(&server_address, reference.registry()) {
        return Ok(None);
    }
    let given = Given { username, password, auth, identity_token, registry_token };
    Credentials::given(reference.registry(), given).map(Some).map_err(|problem| status::invalid(format!("auth: {problem}")))
}

/// Whether an address, which may have a scheme and a path, is that of a registry. None at all fits every one.
fn is_for(address: &str, registry: &str) -> bool {
    let host = address.split_once("://").map_or(address, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or_default();
    let hub = |host: &str| matches!(host, "docker.io" | "index.docker.io" | "registry-1.docker.io");
    host.is_empty() || host == registry || (hub(host) && hub(registry))
}

fn pulled(node: &Arc<Node>, reference: &Reference, credentials: Option<Credentials>) -> Answer<String> {
    let options = node.pull_options(credentials).map_err(|error| Status::failed_precondition(chain(error.as_ref())))?;
    let store = node.engine().images();
    let pulled = images::pull(store, reference, &options, &()).map_err(|error| status::of_image(&error))?;
    if pulled.fresh {
        let store = store.clone();
        let image = pulled.image.clone();
        // A power cut costs a look at its layers, no more: nobody waits for the disk.
        tokio::task::spawn_blocking(move || {
            if let Err(error) = store.sync(Some(&image)) {
                log::failed(&format!("sync image {}", image.id), &error);
            }
        });
    }
    Ok(pulled.image.id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(image: &str, auth: AuthConfig) -> PullImageRequest {
        let image = Some(cri::ImageSpec { image: image.to_owned(), ..Default::default() });
        PullImageRequest { image, auth: Some(auth), sandbox_config: None }
    }

    fn auth(username: &str, server_address: &str) -> AuthConfig {
        AuthConfig { username: username.into(), password: "p".into(), server_address: server_address.into(), ..Default::default() }
    }

    #[test]
    fn credentials_are_for_one_registry() {
        for (address, registry, fits) in [
            ("", "r.io", true),
            ("https://r.io/v2/", "r.io", true),
            ("r.io", "r.io", true),
            ("r.io:443", "r.io", false),
            ("https://index.docker.io/v1/", "docker.io", true),
            ("evil.io/r.io", "r.io", false),
            ("https://r.io.evil.io", "r.io", false),
        ] {
            assert_eq!(is_for(address, registry), fits, "{address} {registry}");
        }
        assert!(check(request("r.io/a:1", auth("u", "r.io"))).unwrap().credentials.is_some());
        assert!(check(request("r.io/a:1", auth("u", "q.io"))).unwrap().credentials.is_none());
        assert!(check(request("r.io/a:1", AuthConfig::default())).unwrap().credentials.is_none());
    }

    #[test]
    fn only_who_has_the_same_rights_joins() {
        let key = |name, user| check(request(name, auth(user, ""))).unwrap().key;
        assert_eq!(key("a", "u"), key("docker.io/library/a:latest", "u"));
        assert_ne!(key("a", "u"), key("a", "v"));
        assert_ne!(key("a", "u"), key("b", "u"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let message = |request| check(request).unwrap_err().message().to_owned();
        assert_eq!(message(request("", AuthConfig::default())), "image: it is empty");
        assert!(message(request("A!", AuthConfig::default())).contains("invalid reference"));
        let bad = AuthConfig { auth: "?".to_owned(), ..Default::default() };
        assert_eq!(message(request("a", bad)), "auth: auth is not base64");
    }
}
