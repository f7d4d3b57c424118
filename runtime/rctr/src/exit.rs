//! The table of exit codes, and the one place where errors are printed.

use clap::error::ErrorKind;

/// A mistake of ours or of the host, as Docker has it.
pub(crate) const FAILED: i32 = 125;
/// There is such a program, which cannot be executed.
pub(crate) const NOT_EXECUTABLE: i32 = 126;
/// There is no such program.
pub(crate) const NOT_FOUND: i32 = 127;

/// Prints the whole chain of an error as one line and returns the exit code.
pub(crate) fn report(error: &anyhow::Error) -> i32 {
    eprintln!("rctr: {}", chain(error));
    code(error)
}

/// `what: why: why`, each link once and on one line.
pub(crate) fn chain(error: &anyhow::Error) -> String {
    links(error.as_ref())
}

/// The same for the error of a library.
pub(crate) fn links(error: &(dyn std::error::Error + 'static)) -> String {
    let mut links: Vec<String> = Vec::new();
    for link in std::iter::successors(Some(error), |error| error.source()) {
        let text = link.to_string().trim_end().replace('\n', " ");
        // A transparent wrapper says the same as what it wraps.
        if links.last() != Some(&text) {
            links.push(text);
        }
    }
    links.join(": ")
}

fn code(error: &anyhow::Error) -> i32 {
    match error.downcast_ref::<engine::Error>() {
        Some(engine::Error::Start { kind: engine::Kind::NotFound, .. }) => NOT_FOUND,
        Some(engine::Error::Start { kind: engine::Kind::NotExecutable, .. }) => NOT_EXECUTABLE,
        _ => FAILED,
    }
}

/// Prints what is wrong with the command line, or the help that was asked for, and exits.
pub(crate) fn usage(error: &clap::Error) -> ! {
    let code = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => 0,
        _ => FAILED,
    };
    let _ = error.print();
    std::process::exit(code)
}

/// Does `verb` for each of `names`, prints the name of each that worked and the error of each that did not.
pub(crate) fn each(names: &[String], mut verb: impl FnMut(&str) -> anyhow::Result<()>) -> i32 {
    let mut code = 0;
    for name in names {
        match verb(name) {
            Ok(()) => println!("{name}"),
            Err(error) => code = report(&error),
        }
    }
    code
}

/// [`each`], all at the same time, and reported in order.
pub(crate) fn at_once(names: &[String], verb: impl Fn(&str) -> anyhow::Result<()> + Sync) -> i32 {
    std::thread::scope(|scope| {
        let verb = &verb;
        let threads: Vec<_> = names.iter().map(|name| scope.spawn(move || verb(name))).collect();
        let mut threads = threads.into_iter();
        each(names, |_| match threads.next().map(std::thread::ScopedJoinHandle::join) {
            Some(Ok(done)) => done,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Ok(()),
        })
    })
}
