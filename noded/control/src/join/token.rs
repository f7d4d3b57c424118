//! Bootstrap tokens, as kubeadm has them: `ID.SECRET`, kept as Secrets.

use api::meta::Time;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::random;

/// Where tokens are kept.
pub const NAMESPACE: &str = "kube-system";

/// The group of everyone who comes with a token.
pub const ANYONE: &str = "system:bootstrappers";

/// The type of their Secrets.
const KIND: &str = "bootstrap.kubernetes.io/token";

/// A token.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// What is no secret: 6 letters and digits.
    pub id: String,
    secret: String,
}

/// The secret is not shown.
impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token({})", self.id)
    }
}

impl Token {
    /// A new one.
    pub fn make() -> Self {
        Self { id: random::letters(6), secret: random::letters(16) }
    }

    /// Reads `ID.SECRET`; nothing for what is no token.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.split_once('.')?;
        let fits = |part: &str, length| part.len() == length && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        (fits(id, 6) && fits(secret, 16)).then(|| Self { id: id.into(), secret: secret.into() })
    }

    /// As it is typed.
    pub fn text(&self) -> String {
        format!("{}.{}", self.id, self.secret)
    }

    /// Whether it is the one of this Secret, and good at `now`.
    pub fn is_good(&self, secret: &Value, now: Timestamp) -> bool {
        let known = |key: &str| of(secret, key).unwrap_or_default();
        // compared by hash: the time that it takes says nothing about the secret
        let same = |a: &str, b: &str| digest(&SHA256, a.as_bytes()).as_ref() == digest(&SHA256, b.as_bytes()).as_ref();
        let lasts = match of(secret, "expiration") {
            None => true,
            Some(text) => text.parse::<Timestamp>().is_ok_and(|end| now < end),
        };
        secret["type"] == KIND
            && same(&known("token-id"), &self.id)
            && same(&known("token-secret"), &self.secret)
            && known("usage-bootstrap-authentication") == "true"
            && secret["metadata"].get("deletionTimestamp").is_none()
            && lasts
    }
}

/// The name of a token's Secret.
pub fn secret_name(id: &str) -> String {
    format!("bootstrap-token-{id}")
}

/// The Secret of a token that is good until `end`, or for ever.
pub fn secret(token: &Token, end: Option<Timestamp>, description: &str) -> Value {
    let mut data = json!({
        "token-id": token.id, "token-secret": token.secret,
        "usage-bootstrap-authentication": "true", "usage-bootstrap-signing": "true",
    });
    if let Some(end) = end {
        data["expiration"] = Time(end).to_string().into();
    }
    if !description.is_empty() {
        data["description"] = description.into();
    }
    json!({"apiVersion": "v1", "kind": "Secret", "type": KIND, "metadata": {"name": secret_name(&token.id), "namespace": NAMESPACE},
        "stringData": data})
}

/// A value of a Secret.
fn of(secret: &Value, key: &str) -> Option<String> {
    let text = STANDARD.decode(secret["data"].get(key)?.as_str()?).ok()?;
    String::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(token: &Token, end: Option<Timestamp>) -> Value {
        let mut secret = secret(token, end, "why");
        let data = secret["stringData"].as_object().unwrap().clone();
        secret["data"] = data
            .into_iter()
            .map(|(k, v)| (k, STANDARD.encode(v.as_str().unwrap()).into()))
            .collect::<serde_json::Map<_, _>>()
            .into();
        secret
    }

    #[test]
    fn a_token_is_good_for_its_secret_and_its_time() {
        let (token, end) = (Token::make(), Timestamp::from_second(100).unwrap());
        let at = |second| Timestamp::from_second(second).unwrap();
        let secret = kept(&token, Some(end));
        assert!(token.is_good(&secret, at(99)) && !token.is_good(&secret, at(100)));
        assert!(token.is_good(&kept(&token, None), at(1_000_000)));
        let guess = Token { secret: "0".repeat(16), ..token.clone() };
        assert!(!guess.is_good(&secret, at(1)) && !Token::make().is_good(&secret, at(1)));
        for (place, value) in [("/type", "Opaque"), ("/data/usage-bootstrap-authentication", ""), ("/data/expiration", "bm8=")] {
            let mut other = secret.clone();
            *other.pointer_mut(place).unwrap() = value.into();
            assert!(!token.is_good(&other, at(1)), "{place}");
        }
    }

    #[test]
    fn tokens_have_a_form() {
        let token = Token::make();
        assert_eq!(Token::parse(&token.text()), Some(token.clone()));
        assert_eq!(format!("{token:?}"), format!("Token({})", token.id));
        for wrong in [
            "",
            ".",
            "abcdef",
            "abcdef.0123456789abcde",
            "Abcdef.0123456789abcdef",
            "abcdef.0123456789abcdef.x",
            "abcde/.0123456789abcdef",
        ] {
            assert_eq!(Token::parse(wrong), None, "{wrong}");
        }
    }
}
