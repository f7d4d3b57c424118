//! `man`: the manual page, for who makes packages. It is made of the tables that the help is made of (man(7), groff_man_style(7)).

use crate::args::{Args, Flag, Order, Parts, parts};
use crate::error::Result;
use crate::verbs::{ALL, Verb};
use crate::{Context, FLAGS, output};

pub(crate) const VERB: Verb =
    Verb { name: "man", usage: "", about: "print this program's manual page", flags: &[], flags_come: Order::None, run };

fn run(_: &Context, _: &Args) -> Result<u8> {
    output::print(&page())
}

fn page() -> String {
    let verbs: String = ALL.iter().map(verb).collect();
    format!(
        ".TH rctr\\-oci 8 \"\" \"rctr {}\"\n.SH NAME\nrctr\\-oci \\- run containers from OCI bundles\n\
         .SH SYNOPSIS\n\\fBrctr\\-oci\\fR [FLAGS] VERB [ARGS]\n\
         .SH DESCRIPTION\nAn OCI runtime with the command line of \\fBrunc\\fR(8), for containerd, Docker, Podman and CRI\\-O to call.\n\
         .SH OPTIONS\n{}.SH VERBS\n{verbs}",
        env!("CARGO_PKG_VERSION"),
        flags(FLAGS)
    )
}

fn verb(verb: &Verb) -> String {
    let Verb { name, usage, about, .. } = verb;
    format!(".SS {}\n{}: {}.\n{}", name, plain(&format!("{name} {usage}")), plain(about), flags(verb.flags))
}

fn flags(table: &[Flag]) -> String {
    let bold = |name: &String| format!("\\fB{}\\fR", plain(name));
    table
        .iter()
        .map(|flag| {
            let Parts { names, value } = parts(flag);
            let names = names.iter().map(bold).collect::<Vec<_>>().join(", ");
            let value = value.map(|value| format!(" \\fI{}\\fR", plain(value))).unwrap_or_default();
            format!(".TP\n{names}{value}\n{}.\n", plain(flag.help))
        })
        .collect()
}

/// A text in which nothing is a command of roff.
fn plain(text: &str) -> String {
    let escaped = text.trim_end().replace('\\', "\\e").replace('-', "\\-");
    if escaped.starts_with(['.', '\'']) { format!("\\&{escaped}") } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_all_that_the_help_has() {
        let page = page();
        for verb in ALL {
            assert!(page.contains(&format!(".SS {}\n", verb.name)), "{}", verb.name);
            assert!(verb.flags.iter().all(|flag| page.contains(&plain(flag.help))), "{}", verb.name);
        }
        assert!(page.contains("\\fB\\-\\-root\\fR \\fIDIR\\fR"), "{page}");
        assert_eq!([plain(".a\\b-c"), plain("'x")], ["\\&.a\\eb\\-c", "\\&'x"]);
    }
}
