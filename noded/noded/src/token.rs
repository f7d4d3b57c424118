//! `noded token`: what new nodes come with. On the control plane's host, as its administrator.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use control::join::{NAMESPACE, Pin, Token, secret, secret_name};
use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;

use crate::agent::api::Api;
use crate::agent::kubeconfig;
use crate::agent::servers::listed;
use crate::config::Config;

const SECRETS: &str = "/api/v1/namespaces/kube-system/secrets";

#[derive(Debug, clap::Args)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    verb: Verb,
    /// The administrator's kubeconfig; by default the one of the control plane that the configuration names
    #[arg(long, value_name = "FILE", global = true)]
    kubeconfig: Option<PathBuf>,
    #[command(flatten)]
    common: crate::cli::Args,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Make a token, and say what to type on the new node
    Create {
        /// How long it is good, such as 30m or 24h; 0 is for ever
        #[arg(long, value_name = "TIME", default_value = "24h")]
        ttl: SignedDuration,
        /// What it is for
        #[arg(long, value_name = "TEXT", default_value = "")]
        description: String,
    },
    /// List tokens, without what is secret of them
    List,
    /// Delete tokens
    Delete {
        /// What is before the dot
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
    },
}

/// Does it.
pub(crate) fn run(args: TokenArgs) -> Result<()> {
    let file = match args.kubeconfig {
        Some(file) => file,
        None => Config::load(args.common.config.as_deref())?.control.folder.join("admin.kubeconfig"),
    };
    let config = kubeconfig::load(&file)?;
    let (server, authority) = (config.server.clone(), config.authority.clone());
    let api = Api::of(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("make a thread")?;
    runtime.block_on(async {
        match args.verb {
            Verb::Create { ttl, description } => {
                let authority = CertificateDer::from_pem_slice(&authority).context("certificate-authority")?;
                let pin = Pin::of(&authority).context("certificate-authority: it is no certificate")?;
                let token = create(&api, ttl, &description).await?;
                let servers = servers(&api, server).await;
                println!("noded run --join {servers} --token {token} --ca-hash {pin}");
            }
            Verb::List => {
                print!("{}", table(&api.get(&format!("{SECRETS}?fieldSelector=type%3Dbootstrap.kubernetes.io%2Ftoken")).await?))
            }
            Verb::Delete { ids } => {
                for id in ids {
                    let id = id.split('.').next().unwrap_or_default();
                    ensure!(id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id:?} is no token's id");
                    api.delete(&format!("{SECRETS}/{}", secret_name(id)), &Value::Null).await?;
                }
            }
        }
        Ok(())
    })
}

/// This server, and the others of its control plane, should there be any.
async fn servers(api: &Api, server: String) -> String {
    let slice = api.get("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes").await;
    let listed = slice.ok().and_then(|slice| serde_json::from_value(slice).ok()).map(|slice| listed(&slice)).unwrap_or_default();
    if listed.len() < 2 {
        return server;
    }
    let others = listed.into_iter().filter(|other| *other != server);
    std::iter::once(server.clone()).chain(others).collect::<Vec<_>>().join(",")
}

async fn create(api: &Api, ttl: SignedDuration, description: &str) -> Result<String> {
    ensure!(!ttl.is_negative(), "--ttl: {ttl} is negative");
    let end = if ttl.is_zero() { None } else { Some(Timestamp::now().checked_add(ttl).context("--ttl")?) };
    let token = Token::make();
    let mut object = secret(&token, end, description);
    object["metadata"]["namespace"] = NAMESPACE.into();
    api.create(SECRETS, &object).await?;
    Ok(token.text())
}

/// Tokens in lines: id, end, description.
fn table(list: &Value) -> String {
    let mut text = format!("{:<8}{:<22}{}\n", "ID", "EXPIRES", "DESCRIPTION");
    for secret in list["items"].as_array().into_iter().flatten() {
        let of = |key: &str| {
            use base64::Engine as _;
            let encoded = secret["data"][key].as_str().unwrap_or_default();
            let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).unwrap_or_default();
            String::from_utf8_lossy(&bytes).escape_debug().to_string()
        };
        let end = Some(of("expiration")).filter(|end| !end.is_empty()).unwrap_or_else(|| "never".to_owned());
        text.push_str(format!("{:<8}{end:<22}{}", of("token-id"), of("description")).trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_has_no_secrets() {
        use base64::Engine as _;
        let text = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let data =
            json!({"token-id": text("abcdef"), "token-secret": text("0123456789abcdef"), "description": text("for\n\u{1b}[2J")});
        let shown = table(&json!({"items": [{"data": data}]}));
        assert_eq!(shown, "ID      EXPIRES               DESCRIPTION\nabcdef  never                 for\\n\\u{1b}[2J\n");
    }
}
