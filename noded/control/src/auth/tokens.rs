//! Bearer tokens: fixed ones from a file, and those of service accounts, which are signed (JWT, ES256).

use std::collections::HashMap;

use api::kinds::config::{SECRET, SERVICE_ACCOUNT};
use api::kinds::pod::POD;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::User;
use crate::join::{self, Token};
use crate::objects::Objects;

/// Who the tokens are from and for.
pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// Signs and checks tokens of service accounts.
pub struct TokenSigner {
    key: EcdsaKeyPair,
}

/// What a token says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Claims {
    /// Who signed it.
    pub iss: String,
    /// Who it is: `system:serviceaccount:NAMESPACE:NAME`.
    pub sub: String,
    /// Who it is for.
    #[serde(default)]
    pub aud: Vec<String>,
    /// Until when, in seconds.
    pub exp: i64,
    /// Since when.
    #[serde(default)]
    pub nbf: i64,
    /// When it was made.
    #[serde(default)]
    pub iat: i64,
    /// The objects that it depends on.
    #[serde(rename = "kubernetes.io", default)]
    pub bound: Value,
}

impl TokenSigner {
    /// From a PKCS#8 key of P-256.
    pub fn new(pkcs8: &[u8]) -> Option<Self> {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &SystemRandom::new()).ok().map(|key| Self { key })
    }

    /// A signed token; nothing when the system has no random bytes.
    pub fn sign(&self, claims: &Claims) -> Option<String> {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(&json!({"alg": "ES256", "typ": "JWT"})), part(&serde_json::to_value(claims).ok()?));
        let signature = self.key.sign(&SystemRandom::new(), text.as_bytes()).ok()?;
        Some(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// What a token says, if we signed it, it is for us, and it is good now.
    pub fn check(&self, token: &str, now: i64) -> Option<Claims> {
        let (text, signature) = token.rsplit_once('.')?;
        let (head, body) = text.split_once('.')?;
        let head: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).ok()?).ok()?;
        if head["alg"] != "ES256" {
            return None;
        }
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref());
        key.verify(text.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
        let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).ok()?).ok()?;
        let is_good = claims.iss == ISSUER && claims.exp > now && claims.nbf <= now && claims.aud.iter().any(|a| a == ISSUER);
        is_good.then_some(claims)
    }
}

/// Everyone who may come with a bearer token.
pub struct Tokens {
    fixed: HashMap<Vec<u8>, User>,
    /// Signs and checks tokens of service accounts.
    pub signer: TokenSigner,
}

impl Tokens {
    /// With fixed tokens from lines `TOKEN,NAME,UID,"GROUP,GROUP"`; the file of kube-apiserver's `--token-auth-file`.
    pub fn new(signer: TokenSigner, lines: &str) -> Self {
        let fixed = lines.lines().filter_map(|line| {
            let mut parts = line.trim().splitn(4, ',');
            let (token, name, uid) = (parts.next()?, parts.next()?, parts.next().unwrap_or(""));
            let groups = parts
                .next()
                .unwrap_or("")
                .trim_matches('"')
                .split(',')
                .filter(|g| !g.is_empty())
                .map(String::from)
                .collect::<Vec<_>>();
            let is_comment = token.is_empty() || token.starts_with('#');
            (!is_comment).then(|| (hashed(token), User { uid: uid.into(), ..User::new(name, groups) }))
        });
        Self { fixed: fixed.collect(), signer }
    }

    /// The user that a token stands for; a service account must still be there, and so must the pod that it was given to.
    pub fn user(&self, token: &str, objects: &Objects, now: i64) -> Option<User> {
        // looked up by its hash: the time that it takes says nothing about tokens that are known
        if let Some(user) = self.fixed.get(&hashed(token)) {
            return Some(user.clone());
        }
        if let Some(token) = Token::parse(token) {
            return newcomer(&token, objects, now);
        }
        let claims = self.signer.check(token, now)?;
        let (namespace, name) = claims.sub.strip_prefix("system:serviceaccount:")?.split_once(':')?;
        let is_there =
            |kind, name: &str, uid: &Value| objects.get(kind, namespace, name).is_ok_and(|e| e.object()["metadata"]["uid"] == *uid);
        let account = &claims.bound["serviceaccount"];
        let pod = &claims.bound["pod"];
        let is_good = is_there(&SERVICE_ACCOUNT, name, &account["uid"])
            && (pod.is_null() || is_there(&POD, pod["name"].as_str()?, &pod["uid"]));
        let groups = ["system:serviceaccounts".to_string(), format!("system:serviceaccounts:{namespace}")];
        is_good.then(|| User { uid: account["uid"].as_str().unwrap_or("").into(), ..User::new(claims.sub.clone(), groups) })
    }
}

/// Whoever comes with a bootstrap token is nobody yet: what they may do is ask for a certificate.
fn newcomer(token: &Token, objects: &Objects, now: i64) -> Option<User> {
    let secret = objects.get(&SECRET, join::NAMESPACE, &join::secret_name(&token.id)).ok()?.object();
    let good = token.is_good(&secret, jiff::Timestamp::from_second(now).ok()?);
    good.then(|| User::new(format!("system:bootstrap:{}", token.id), [join::ANYONE.to_string()]))
}

fn hashed(token: &str) -> Vec<u8> {
    digest(&SHA256, token.as_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer() -> TokenSigner {
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        TokenSigner::new(key.as_ref()).unwrap()
    }

    #[test]
    fn a_token_is_good_for_its_time_its_audience_and_its_signer() {
        let ours = signer();
        let claims = Claims {
            iss: ISSUER.into(),
            sub: "system:serviceaccount:a:b".into(),
            aud: vec![ISSUER.into()],
            exp: 100,
            ..Default::default()
        };
        let token = ours.sign(&claims).unwrap();
        assert_eq!(ours.check(&token, 50), Some(claims.clone()));
        assert_eq!(ours.check(&token, 100), None);
        assert_eq!(signer().check(&token, 50), None);
        let other = ours.sign(&Claims { aud: vec!["vault".into()], ..claims.clone() }).unwrap();
        assert_eq!(ours.check(&other, 50), None);
        let (head, rest) = token.split_once('.').unwrap();
        let forged = Claims { sub: "system:serviceaccount:a:admin".into(), ..claims };
        let body = URL_SAFE_NO_PAD.encode(serde_json::to_string(&forged).unwrap());
        assert_eq!(ours.check(&format!("{head}.{body}.{}", rest.split_once('.').unwrap().1), 50), None);
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        assert_eq!(ours.check(&format!("{none}.{body}."), 50), None);
        for bad in ["", ".", "a.b", "a.b.c", "é.é.é"] {
            assert_eq!(ours.check(bad, 0), None);
        }
    }

    #[test]
    fn fixed_tokens_come_from_lines() {
        let tokens = Tokens::new(signer(), "# comment\nsecret,me,1,\"a,b\"\n,nobody,2\nonly\n");
        assert_eq!(tokens.fixed.len(), 1);
        assert_eq!(tokens.fixed[&hashed("secret")].groups, ["a", "b", "system:authenticated"]);
    }
}
