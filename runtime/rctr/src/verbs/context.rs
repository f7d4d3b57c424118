//! `rctr context …`.

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};

use crate::contexts::{Contexts, DEFAULT, Meta};
use crate::exit;
use crate::output::table::Table;
use crate::output::template;

/// Work with contexts: hosts by name, for --context, RCTR_CONTEXT or DOCKER_CONTEXT
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Verb {
    Create(Create),
    #[command(visible_alias = "list")]
    Ls(Ls),
    Use(Use),
    #[command(visible_alias = "remove")]
    Rm(Rm),
    Inspect(Inspect),
    Update(Update),
    /// Print the name of the context that is used
    Show,
}

/// Name a host
#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// What it is
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,
    /// Where it is: host=ssh://[USER@]HOST[:PORT]
    #[arg(long, value_name = "host=HOST", value_parser = endpoint)]
    docker: Option<String>,
    /// As this context
    #[arg(long, value_name = "CONTEXT", conflicts_with = "docker")]
    from: Option<String>,
    /// Its name
    context: String,
}

/// List contexts
#[derive(Debug, clap::Args)]
pub(crate) struct Ls {
    /// Print only names
    #[arg(short, long)]
    quiet: bool,
    /// json, a Go template, or "table TEMPLATE"
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

/// Use a context from now on; default is this host
#[derive(Debug, clap::Args)]
pub(crate) struct Use {
    /// Its name
    context: String,
}

/// Forget contexts
#[derive(Debug, clap::Args)]
pub(crate) struct Rm {
    /// Even the one that is used, and do not mind those that are not there
    #[arg(short, long)]
    force: bool,
    /// Their names
    #[arg(required = true, value_name = "CONTEXT")]
    contexts: Vec<String>,
}

/// Show all of contexts
#[derive(Debug, clap::Args)]
pub(crate) struct Inspect {
    /// json, or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// Their names [default: the one that is used]
    #[arg(value_name = "CONTEXT")]
    contexts: Vec<String>,
}

/// Change a context
#[derive(Debug, clap::Args)]
pub(crate) struct Update {
    /// What it is
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Where it is: host=ssh://[USER@]HOST[:PORT]
    #[arg(long, value_name = "host=HOST", value_parser = endpoint)]
    docker: Option<String>,
    /// Its name
    context: String,
}

fn endpoint(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("host=").ok_or("only host=ssh://[USER@]HOST[:PORT] is known")?;
    let fits = host.is_empty() || host.starts_with("unix://");
    if fits { Ok(host.to_owned()) } else { host.parse::<crate::remote::Host>().map(|_| host.to_owned()) }
}

/// `flag` is what `--context` says.
pub(crate) fn run(flag: Option<&str>, verb: Verb) -> Result<i32> {
    let contexts = Contexts::of_caller();
    match verb {
        Verb::Create(args) => {
            let host = match &args.from {
                Some(from) => contexts.find(from)?.endpoint().to_owned(),
                None => args.docker.unwrap_or_default(),
            };
            contexts.keep(&Meta::new(&args.context, &args.description, &host), true)?;
            println!("{}", args.context);
        }
        Verb::Ls(args) => return list(&contexts, flag, &args),
        Verb::Use(args) => {
            contexts.use_it(&args.context)?;
            println!("{}", args.context);
            for name in ["RCTR_HOST", "RCTR_CONTEXT", "DOCKER_CONTEXT"] {
                if std::env::var_os(name).is_some_and(|value| !value.is_empty()) {
                    eprintln!("rctr: {name} is set, which comes before this");
                }
            }
        }
        Verb::Rm(args) => return Ok(exit::each(&args.contexts, |name| contexts.remove(name, args.force))),
        Verb::Inspect(args) => return inspect(&contexts, flag, args),
        Verb::Update(args) => {
            let mut meta = contexts.find(&args.context)?;
            if let Some(description) = args.description {
                meta.metadata.description = description;
            }
            if let Some(host) = args.docker {
                meta.endpoints.entry("docker".to_owned()).or_default().host = host;
            }
            contexts.keep(&meta, false)?;
            println!("{}", args.context);
        }
        Verb::Show => println!("{}", contexts.current(flag)?),
    }
    Ok(0)
}

fn list(contexts: &Contexts, flag: Option<&str>, args: &Ls) -> Result<i32> {
    let (all, current) = (contexts.all()?, contexts.current(flag)?);
    if args.quiet {
        all.iter().for_each(|meta| println!("{}", meta.name));
        return Ok(0);
    }
    let row = |meta: &Meta| {
        let error = meta.host().err().map(|error| error.to_string()).unwrap_or_default();
        json!({
            "Name": meta.name, "Current": meta.name == current, "Description": meta.metadata.description,
            "DockerEndpoint": meta.endpoint(), "Error": error,
        })
    };
    let rows: Vec<Value> = all.iter().map(row).collect();
    if let Some(format) = &args.format {
        print!("{}", template::rows(format, &rows)?);
        return Ok(0);
    }
    let mut table = Table::new(&["NAME", "DESCRIPTION", "DOCKER ENDPOINT", "ERROR"]);
    for row in &rows {
        let mut cells = ["Name", "Description", "DockerEndpoint", "Error"].map(|key| template::plain(&row[key]));
        if row["Current"] == true {
            cells[0].push_str(" *");
        }
        table.row(cells.into());
    }
    print!("{}", table.render());
    Ok(0)
}

fn inspect(contexts: &Contexts, flag: Option<&str>, args: Inspect) -> Result<i32> {
    let names = if args.contexts.is_empty() { vec![contexts.current(flag)?] } else { args.contexts };
    let whole = |name: &String| -> Result<Value> {
        let mut whole = serde_json::to_value(contexts.find(name)?)?;
        let place = contexts.place(name).filter(|_| name != DEFAULT);
        let place = place.map_or_else(|| "<IN MEMORY>".to_owned(), |place| place.display().to_string());
        whole["TLSMaterial"] = json!({});
        whole["Storage"] = json!({"MetadataPath": place, "TLSPath": "<IN MEMORY>"});
        Ok(whole)
    };
    let all = names.iter().map(whole).collect::<Result<Vec<_>>>()?;
    match args.format.as_deref() {
        Some(format) if format != "json" => {
            for one in &all {
                println!("{}", template::one(format, one)?);
            }
        }
        _ => println!("{}", serde_json::to_string_pretty(&all)?),
    }
    Ok(0)
}
