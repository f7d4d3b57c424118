//! Samples: one of each contender in turn, so that what else goes on on the machine hits all of them alike.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::contender::Contender;

/// All samples of one piece of work.
pub(crate) struct Row {
    pub(crate) title: String,
    /// By contender, ours first: milliseconds, sorted.
    pub(crate) samples: Vec<(String, Vec<f64>)>,
}

/// Times each contender `runs` times, in turn, after one round that does not count.
pub(crate) fn alternate(title: &str, contenders: &[Contender], runs: usize) -> Result<Row> {
    sample(title, contenders, runs, |contender, number| {
        // what the others left to be written is not for the next one to pay
        rustix::fs::sync();
        let mut command = contender.command(number);
        let start = Instant::now();
        let status = command.status()?;
        let time = start.elapsed();
        if status.success() { Ok(time) } else { bail!("{}", contender.explain(number)) }
    })
}

/// Times `count` of each contender started at once until the last has ended.
pub(crate) fn at_once(title: &str, contenders: &[Contender], count: usize, runs: usize) -> Result<Row> {
    sample(title, contenders, runs, |contender, number| {
        rustix::fs::sync();
        let start = Instant::now();
        let children = (0..count).map(|_| contender.command(number).spawn()).collect::<std::io::Result<Vec<_>>>()?;
        let mut failed = 0;
        for mut child in children {
            failed += usize::from(!child.wait()?.success());
        }
        let time = start.elapsed();
        if failed == 0 { Ok(time) } else { bail!("{failed} of {count} failed; alone: {}", contender.explain(number)) }
    })
}

fn sample(title: &str, contenders: &[Contender], runs: usize, once: impl Fn(&Contender, usize) -> Result<Duration>) -> Result<Row> {
    eprintln!("bench: {title}: {runs} of each");
    let mut samples: Vec<(String, Vec<f64>)> = Vec::new();
    let mut taking_part = Vec::new();
    for contender in contenders {
        match once(contender, 0) {
            Ok(_) => {
                taking_part.push(contender);
                samples.push((contender.name.clone(), Vec::new()));
            }
            Err(error) if contender.name == "ours" => return Err(error),
            Err(error) => eprintln!("bench: {} is left out: {error:#}", contender.name),
        }
    }
    for number in 1..=runs {
        for (contender, (_, times)) in taking_part.iter().zip(&mut samples) {
            times.push(once(contender, number)?.as_secs_f64() * 1000.0);
        }
    }
    for (_, times) in &mut samples {
        times.sort_by(f64::total_cmp);
    }
    Ok(Row { title: title.to_owned(), samples })
}

/// The value below which `share` of the sorted samples lie (nearest rank).
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_by_nearest_rank() {
        let ten: Vec<f64> = (1..=10).map(f64::from).collect();
        assert_eq!((quantile(&ten, 0.5), quantile(&ten, 0.99), quantile(&ten, 0.0)), (5.0, 10.0, 1.0));
        assert_eq!(quantile(&[7.0], 0.5), 7.0);
    }
}
