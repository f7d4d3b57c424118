//! What an instruction says, before any variable is put in.

mod flags;
mod meant;
#[cfg(test)]
mod tests;
mod types;
mod values;

pub use flags::duration;
pub use types::{Command, Copy, From, Healthcheck, Instruction, Kind, Run};

use self::flags::{Flags, flags};
use self::meant::meant;
use self::values::{argument, command, copy, healthcheck, list, pairs, stage_name};
use super::lines::{Heredoc, Logical};
use super::{Invalid, words};

/// Reads an instruction.
pub(crate) fn read(logical: &Logical, escape: char) -> Result<Instruction, Invalid> {
    let line = logical.lines.0;
    let kind = kind(&logical.text, &logical.heredocs, escape).map_err(|wrong| {
        let invalid = Invalid::new(line, wrong.problem);
        if wrong.about.is_empty() { invalid } else { invalid.at(wrong.about) }
    })?;
    Ok(Instruction { lines: logical.lines, text: logical.text.clone(), kind })
}

/// What is wrong, and the words that it is about.
struct Wrong {
    problem: String,
    about: String,
}

fn wrong<T>(about: &str, problem: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { problem: problem.into(), about: about.to_owned() })
}

fn kind(text: &str, heredocs: &[Heredoc], escape: char) -> Result<Kind, Wrong> {
    let (verb, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let upper = verb.to_ascii_uppercase();
    let (flags, rest) = flags(rest.trim(), escape);
    let mut flags = Flags { verb: upper.clone(), flags };
    let needs = |what: &str| wrong::<Kind>(verb, format!("{upper} requires {what}"));
    let some = || if rest.is_empty() { wrong(verb, format!("{upper} requires at least one argument")) } else { Ok(()) };
    let kind = match upper.as_str() {
        "FROM" => {
            let platform = flags.text("platform")?;
            let words: Vec<&str> = rest.split_whitespace().collect();
            let (image, name) = match words[..] {
                [image] => (image, None),
                [image, word, name] if word.eq_ignore_ascii_case("as") => (image, Some(stage_name(name)?)),
                _ => return needs("either one or three arguments"),
            };
            Kind::From(From { image: image.to_owned(), name, platform })
        }
        "ARG" => {
            some()?;
            Kind::Arg(words::raw(&rest, escape).iter().map(|word| argument(word)).collect::<Result<_, _>>()?)
        }
        "ENV" => Kind::Env(pairs("ENV", &rest, escape)?),
        "LABEL" => Kind::Label(pairs("LABEL", &rest, escape)?),
        "RUN" => {
            some()?;
            let (network, security, mounts) = (flags.text("network")?, flags.text("security")?, flags.texts("mount")?);
            let devices = flags.texts("device")?;
            Kind::Run(Run { command: command(&rest), heredocs: heredocs.to_vec(), mounts, network, security, devices })
        }
        "COPY" => Kind::Copy(copy(&rest, heredocs, &mut flags, escape)?),
        "ADD" => Kind::Add(copy(&rest, heredocs, &mut flags, escape)?),
        "CMD" => Kind::Cmd(command(&rest)),
        "ENTRYPOINT" => Kind::Entrypoint(command(&rest)),
        "EXPOSE" => {
            some()?;
            Kind::Expose(rest.clone())
        }
        "VOLUME" => {
            some()?;
            Kind::Volume(list(&rest).unwrap_or_else(|| rest.split_whitespace().map(str::to_owned).collect()))
        }
        "USER" | "WORKDIR" | "STOPSIGNAL" | "MAINTAINER" => {
            if rest.is_empty() {
                return needs("exactly one argument");
            }
            match upper.as_str() {
                "USER" => Kind::User(rest.clone()),
                "WORKDIR" => Kind::Workdir(rest.clone()),
                "STOPSIGNAL" => Kind::StopSignal(rest.clone()),
                _ => Kind::Maintainer(rest.clone()),
            }
        }
        "HEALTHCHECK" => Kind::Healthcheck(healthcheck(&rest, &mut flags)?),
        "SHELL" => match list(&rest) {
            Some(words) if !words.is_empty() => Kind::Shell(words),
            Some(_) => return needs("at least one argument"),
            None => return needs("the arguments to be in JSON form"),
        },
        "ONBUILD" => {
            some()?;
            on_build(&rest, heredocs, escape)?
        }
        _ => return wrong(verb, format!("unknown instruction: {verb}{}", meant(&upper))),
    };
    flags.none_left()?;
    Ok(kind)
}

/// Reads the instruction of an image's `ONBUILD`.
pub(crate) fn trigger(text: &str, escape: char) -> Result<Kind, String> {
    let (_, logical) = super::lines::cut(text).map_err(|invalid| invalid.problem)?;
    match &logical[..] {
        [one] => kind(&one.text, &one.heredocs, escape).map_err(|wrong| wrong.problem),
        _ => Err("it is not one instruction".to_owned()),
    }
}

fn on_build(rest: &str, heredocs: &[Heredoc], escape: char) -> Result<Kind, Wrong> {
    let verb = rest.split_whitespace().next().unwrap_or_default();
    match verb.to_ascii_uppercase().as_str() {
        "ONBUILD" => return wrong(verb, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
        "FROM" | "MAINTAINER" => return wrong(verb, format!("{} isn't allowed as an ONBUILD trigger", verb.to_ascii_uppercase())),
        _ => {}
    }
    kind(rest, heredocs, escape)?;
    let documents = heredocs.iter().map(|heredoc| format!("\n{}{}", heredoc.content, heredoc.name));
    Ok(Kind::OnBuild(rest.to_owned() + &documents.collect::<String>()))
}
