//! `rctr secret …`, as Podman has it.

mod create;
mod ls;

use anyhow::{Result, bail};
use clap::Subcommand;
use engine::Secret;
use serde_json::{Value, json};

use crate::context::Context;
use crate::exit;
use crate::output::amount::rfc3339;
use crate::verbs::inspect;

/// Work with secrets: bytes that containers get, and that no record of them has
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Verb {
    Create(create::Args),
    #[command(visible_alias = "list")]
    Ls(ls::Args),
    Inspect(Inspect),
    #[command(visible_alias = "remove")]
    Rm(Remove),
}

/// Print what is known of secrets as JSON
#[derive(Debug, clap::Args)]
pub(crate) struct Inspect {
    /// A Go template, such as '{{.Spec.Name}}'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// Print the secret itself, too
    #[arg(long)]
    showsecret: bool,
    /// Names or ids
    #[arg(required = true, value_name = "SECRET")]
    secrets: Vec<String>,
}

/// Remove secrets
#[derive(Debug, clap::Args)]
pub(crate) struct Remove {
    /// All of them
    #[arg(short, long)]
    all: bool,
    /// Do not mind those that are not there
    #[arg(short, long)]
    ignore: bool,
    /// Names or ids
    #[arg(value_name = "SECRET")]
    secrets: Vec<String>,
}

/// Does what was asked for.
pub(crate) fn run(context: &Context, verb: Verb) -> Result<i32> {
    match verb {
        Verb::Create(args) => create::run(context, &args),
        Verb::Ls(args) => ls::run(context, &args),
        Verb::Inspect(args) => looked_at(context, &args),
        Verb::Rm(args) => remove(context, args),
    }
}

/// A secret in the shape of Docker's API.
fn shape(secret: &Secret) -> Value {
    json!({
        "ID": secret.id,
        "CreatedAt": rfc3339(secret.created),
        "UpdatedAt": rfc3339(secret.updated),
        "Spec": { "Name": secret.name, "Driver": { "Name": "file", "Options": {} }, "Labels": secret.labels },
    })
}

fn looked_at(context: &Context, args: &Inspect) -> Result<i32> {
    let engine = context.engine()?;
    inspect::each(&args.secrets, args.format.as_deref(), |name| {
        let secret = engine.secret(name)?;
        let mut value = shape(&secret);
        if args.showsecret {
            value["SecretData"] = json!(String::from_utf8_lossy(&engine.secret_bytes(&secret.name)?));
        }
        Ok(value)
    })
}

/// Removes them, and prints their ids.
fn remove(context: &Context, args: Remove) -> Result<i32> {
    let engine = context.engine()?;
    let names = match (args.all, args.secrets.is_empty()) {
        (true, true) => engine.secrets()?.into_iter().map(|secret| secret.name).collect(),
        (true, false) => bail!("--all and names: give one of the two"),
        (false, true) => bail!("name the secrets that are to go, or give --all"),
        (false, false) => args.secrets,
    };
    let mut code = 0;
    for name in &names {
        match engine.secret_remove(name) {
            Ok(secret) => println!("{}", secret.id),
            Err(engine::Error::NoSuchSecret(_)) if args.ignore => {}
            Err(error) => code = exit::report(&error.into()),
        }
    }
    Ok(code)
}
