//! What was probably meant by a word that is no instruction.

/// The instruction that was probably meant.
pub(super) fn meant(verb: &str) -> String {
    const VERBS: [&str; 18] = [
        "ADD",
        "ARG",
        "CMD",
        "COPY",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "FROM",
        "HEALTHCHECK",
        "LABEL",
        "MAINTAINER",
        "ONBUILD",
        "RUN",
        "SHELL",
        "STOPSIGNAL",
        "USER",
        "VOLUME",
        "WORKDIR",
    ];
    let near = VERBS.iter().map(|known| (distance(verb, known), known.as_bytes().first() != verb.as_bytes().first(), known)).min();
    near.filter(|(far, ..)| *far <= 2 && *far < verb.len())
        .map(|(.., known)| format!(" (did you mean {known}?)"))
        .unwrap_or_default()
}

/// Letters that have to change to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 20 {
        return a.len();
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, letter) in a.bytes().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], at + 1);
        for (column, other) in b.bytes().enumerate() {
            let here = (corner + usize::from(letter != other)).min(row[column] + 1).min(row[column + 1] + 1);
            corner = std::mem::replace(&mut row[column + 1], here);
        }
    }
    row[b.len()]
}
