//! `rctr login`.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use anyhow::{Context as _, Result, bail};

use crate::context::{Context, Tls, login_file};
use crate::terminal;

/// Log in to a registry
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// User name
    #[arg(short, long, value_name = "NAME")]
    username: Option<String>,
    /// Password or token; better not here, where others can see it
    #[arg(short, long, conflicts_with = "password_stdin")]
    password: Option<String>,
    /// Read the password from standard input
    #[arg(long, requires = "username")]
    password_stdin: bool,
    #[command(flatten)]
    tls: Tls,
    /// HOST[:PORT]
    #[arg(default_value = "docker.io")]
    server: String,
}

/// Asks for what is missing, lets the registry verify it, and keeps it.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let context = &context.trusting(args.tls);
    let file = login_file()?;
    if args.password.is_some() {
        eprintln!(
            "rctr: WARNING: a password on the command line is seen by others and kept in the shell's history: use --password-stdin"
        );
    }
    let (user, password) = ask(&args)?;
    let registries = context.registries()?;
    let done = images::login(&args.server, &user, &password, &registries, &file)?;
    if !done.checked {
        eprintln!("rctr: WARNING: {} lets everybody in: nobody has looked at the password", args.server);
    }
    match done.helper {
        Some(_) => {}
        None => eprintln!("rctr: the password is in {}, not encrypted, for its owner's eyes only", file.display()),
    }
    println!("Login Succeeded");
    Ok(0)
}

/// User and password.
fn ask(args: &Args) -> Result<(String, String)> {
    let interactive = io::stdin().is_terminal();
    let user = match &args.username {
        Some(user) => user.clone(),
        None if interactive => {
            eprint!("Username: ");
            line()?
        }
        None => bail!("login: nobody is there to ask: give --username and --password-stdin"),
    };
    let password = match &args.password {
        Some(password) => password.clone(),
        None if args.password_stdin => piped(&mut io::stdin().lock())?,
        None if interactive => {
            eprint!("Password: ");
            let _hidden = terminal::Hidden::enter(io::stdin());
            let password = line();
            eprintln!();
            let password = password?;
            if password.ends_with(char::from(terminal::CTRL_C)) {
                bail!("login: interrupted");
            }
            password
        }
        None => bail!("login: nobody is there to ask: give --password-stdin"),
    };
    if user.is_empty() || password.is_empty() {
        bail!("login: neither user name nor password may be empty");
    }
    Ok((user, password))
}

fn line() -> Result<String> {
    io::stderr().flush()?;
    typed(&mut io::stdin().lock())
}

/// Up to the line's end, which is left out, or Ctrl-C, which is not.
fn typed(input: &mut dyn BufRead) -> Result<String> {
    let mut line = Vec::new();
    for byte in input.bytes() {
        match byte.context("read standard input")? {
            b'\n' => break,
            byte => line.push(byte),
        }
        if line.ends_with(&[terminal::CTRL_C]) {
            break;
        }
    }
    let line = String::from_utf8(line).context("read standard input")?;
    Ok(line.strip_suffix('\r').unwrap_or(&line).to_owned())
}

/// All of the input, without the line's end that `echo` adds.
fn piped(input: &mut dyn Read) -> Result<String> {
    const LIMIT: u64 = 64 << 10;
    let mut text = String::new();
    input.take(LIMIT).read_to_string(&mut text).context("read the password from standard input")?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ctrl_c_ends_what_is_typed() {
        for (input, line) in [("x\ny\n", "x"), ("x\r\n", "x"), ("", ""), ("ab\x03c\n", "ab\x03")] {
            assert_eq!(typed(&mut input.as_bytes()).unwrap(), line);
        }
    }

    #[test]
    fn only_one_end_of_line_goes() {
        for (input, password) in [("x", "x"), ("x\n", "x"), ("x\r\n", "x"), ("x\n\n", "x\n"), (" x ", " x ")] {
            assert_eq!(piped(&mut input.as_bytes()).unwrap(), password);
        }
    }
}
