//! What each stage stands on, and which stages a target needs.

use std::collections::BTreeSet;

use super::scope::Globals;
use super::{Dockerfile, Invalid, Kind, RunMount};

/// What a stage begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Base {
    /// Nothing.
    Scratch,
    /// An earlier stage.
    Stage(usize),
    /// An image.
    Image(String),
}

/// The stages that are built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stages {
    /// The one whose result is the build's.
    pub(crate) target: usize,
    /// What each one begins with.
    pub(crate) bases: Vec<Base>,
    /// Their platforms, where they say one.
    pub(crate) platforms: Vec<Option<String>>,
    /// The other stages that each one needs.
    pub(crate) needs: Vec<BTreeSet<usize>>,
    /// Those that the target needs, and itself: each after all that it needs.
    pub(crate) order: Vec<usize>,
}

impl Stages {
    /// Finds out about the stages of `file` for the stage `target`, by name or number; `None`: the last one.
    pub(crate) fn plan(file: &Dockerfile, target: Option<&str>, globals: &Globals) -> Result<Stages, Invalid> {
        let (mut bases, mut platforms) = (Vec::new(), Vec::new());
        for (at, stage) in file.stages.iter().enumerate() {
            let line = stage.lines.0;
            let image = globals.expand_at(&stage.from.image, line)?;
            if image.is_empty() {
                return Err(Invalid::new(line, "base name should not be blank: are its arguments set?").at(&stage.from.image));
            }
            bases.push(match (image.as_str(), named(&file.stages[..at], &image)) {
                (_, Some(earlier)) => Base::Stage(earlier),
                ("scratch", None) => Base::Scratch,
                (_, None) => Base::Image(image),
            });
            let platform = stage.from.platform.as_deref().map(|text| globals.expand_at(text, line)).transpose()?;
            platforms.push(platform.filter(|text| !text.is_empty()));
        }
        let target = match target {
            None => file.stages.len() - 1,
            Some(name) => find(file, name)
                .ok_or_else(|| Invalid::new(1, format!("--target: target stage {name:?} could not be found: {}", known(file))))?,
        };
        let mut needs = Vec::new();
        for (at, stage) in file.stages.iter().enumerate() {
            let mut own = BTreeSet::new();
            if let Base::Stage(earlier) = bases[at] {
                own.insert(earlier);
            }
            for instruction in &stage.instructions {
                for name in sources(&instruction.kind) {
                    own.extend(find(file, &name));
                }
            }
            needs.push(own);
        }
        let mut order = Vec::new();
        visit(file, target, &needs, &mut Vec::new(), &mut order)?;
        Ok(Stages { target, bases, platforms, needs, order })
    }
}

/// The stage that `name` means in `COPY --from` and the like, if it means one.
pub(crate) fn find(file: &Dockerfile, name: &str) -> Option<usize> {
    named(&file.stages, name).or_else(|| name.parse().ok().filter(|number| *number < file.stages.len()))
}

/// The last one of that name.
fn named(stages: &[super::Stage], name: &str) -> Option<usize> {
    stages.iter().rposition(|stage| stage.from.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name)))
}

fn known(file: &Dockerfile) -> String {
    let names: Vec<_> = file.stages.iter().filter_map(|stage| stage.from.name.as_deref()).collect();
    if names.is_empty() { "none of its stages has a name".to_owned() } else { format!("there are {}", names.join(", ")) }
}

/// What `--from` and `--mount=from=` name.
fn sources(kind: &Kind) -> Vec<String> {
    match kind {
        Kind::Copy(copy) => copy.from.iter().cloned().collect(),
        Kind::Run(run) => run.mounts.iter().filter_map(|text| RunMount::source_of(text)).collect(),
        _ => Vec::new(),
    }
}

/// Depth first; `path` is where we are, from the target on. It is not deeper than there are stages.
fn visit(
    file: &Dockerfile,
    at: usize,
    needs: &[BTreeSet<usize>],
    path: &mut Vec<usize>,
    order: &mut Vec<usize>,
) -> Result<(), Invalid> {
    // By hand rather than by recursion: strangers write as many stages as they like.
    let mut todo = vec![(at, needs[at].iter().copied().collect::<Vec<_>>())];
    path.push(at);
    let mut done = vec![false; needs.len()];
    while let Some((stage, left)) = todo.last_mut() {
        let stage = *stage;
        match left.pop() {
            Some(next) if path.contains(&next) => {
                let problem = format!("circular dependency detected on stage: {}", shown(file, next));
                return Err(Invalid::new(file.stages[stage].lines.0, problem));
            }
            Some(next) if done[next] => {}
            Some(next) => {
                path.push(next);
                todo.push((next, needs[next].iter().copied().collect()));
            }
            None => {
                done[stage] = true;
                order.push(stage);
                path.pop();
                todo.pop();
            }
        }
    }
    Ok(())
}

/// A stage as people call it.
pub(crate) fn shown(file: &Dockerfile, at: usize) -> String {
    file.stages[at].from.name.clone().unwrap_or_else(|| format!("stage-{at}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn plan(text: &str, target: Option<&str>) -> Result<Stages, Invalid> {
        let file = Dockerfile::parse(text).unwrap();
        let globals = Globals::new('\\', &file.args, &BTreeMap::new(), &BTreeMap::new())?;
        Stages::plan(&file, target, &globals)
    }

    #[test]
    fn only_what_is_needed_is_built() {
        let text = "FROM a AS one\nFROM b AS two\nFROM c AS three\nCOPY --from=one x y\nFROM three\nRUN --mount=type=bind,from=0,target=/x true";
        let all = plan(text, None).unwrap();
        assert_eq!((all.target, all.order.clone()), (3, vec![0, 2, 3]));
        assert_eq!(all.bases[3], Base::Stage(2));
        assert_eq!(plan(text, Some("TWO")).unwrap().order, [1]);
        assert_eq!(plan(text, Some("2")).unwrap().order, [0, 2]);
        assert!(plan(text, Some("four")).unwrap_err().problem.contains("there are one, two, three"));
    }

    #[test]
    fn names() {
        let text = "ARG V=3\nFROM scratch AS scratch\nFROM alpine:$V AS alpine\nFROM alpine\nFROM scratch";
        let bases = plan(text, None).unwrap().bases;
        assert_eq!(bases, [Base::Scratch, Base::Image("alpine:3".into()), Base::Stage(1), Base::Stage(0)]);
        assert!(plan("FROM $NONE", None).unwrap_err().problem.contains("blank"));
        assert_eq!(plan("FROM --platform=linux/arm64 a", None).unwrap().platforms, [Some("linux/arm64".to_owned())]);
    }

    #[test]
    fn circles() {
        let text = "FROM a AS one\nCOPY --from=two x y\nFROM b AS two\nCOPY --from=one x y";
        assert!(plan(text, None).unwrap_err().problem.contains("circular dependency"));
        assert!(plan("FROM a AS one\nCOPY --from=one x y", None).unwrap_err().problem.contains("circular"));
        assert!(plan("FROM a AS one\nCOPY --from=0 x y", None).unwrap_err().problem.contains("circular"));
        // In FROM a name that comes later is an image.
        assert_eq!(plan("FROM two AS one\nFROM one AS two", None).unwrap().bases[0], Base::Image("two".into()));
        let chain: String = (1..5000).map(|at| format!("FROM s{} AS s{at}\n", at - 1)).collect();
        assert_eq!(plan(&format!("FROM a AS s0\n{chain}"), None).unwrap().order.len(), 5000);
    }
}
