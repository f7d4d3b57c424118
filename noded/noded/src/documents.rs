//! What packages have beside the program, made from the same definitions as the help.

use anyhow::{Context as _, Result};
use clap::CommandFactory;

use crate::cli::{Cli, CompletionArgs, ManArgs};

/// `noded completion`.
pub(crate) fn completion(args: &CompletionArgs) -> Result<()> {
    clap_complete::generate(args.shell, &mut Cli::command(), "noded", &mut std::io::stdout());
    Ok(())
}

/// `noded man`: a page of section 8 for the program, and one for each verb.
pub(crate) fn man(args: &ManArgs) -> Result<()> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let pages = std::iter::once(&command).chain(command.get_subcommands().filter(|verb| !verb.is_hide_set()));
    for page in pages {
        let name = page.get_display_name().unwrap_or_else(|| page.get_name()).to_owned();
        let path = args.folder.join(format!("{name}.8"));
        let mut text = Vec::new();
        let page = clap_mangen::Man::new(page.clone()).title(name).section("8");
        page.render(&mut text).and_then(|()| std::fs::write(&path, text)).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    /// The daemon and the monitors speak a language that only those of one build share.
    #[test]
    fn the_package_is_of_one_version_with_rctrs() {
        let needed = format!("depends = \"rctr (= {}-1)\"", env!("CARGO_PKG_VERSION"));
        assert!(include_str!("../Cargo.toml").lines().any(|line| line.starts_with(&needed)), "{needed}");
    }
}
