//! Samples: one of each contender in turn, so that what else goes on on the machine hits all of them alike.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::contender::Contender;

/// What samples are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Milliseconds,
    Kib,
    MillionInstructions,
    Millicores,
}

impl Unit {
    /// As in the table and in the names of a JSON object.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Unit::Milliseconds => "ms",
            Unit::Kib => "kib",
            Unit::MillionInstructions => "minstr",
            Unit::Millicores => "mcore",
        }
    }
}

/// Samples by contender, ours first: sorted.
pub(crate) type Samples = Vec<(String, Vec<f64>)>;

/// All samples of one piece of work.
pub(crate) struct Row {
    pub(crate) title: String,
    pub(crate) unit: Unit,
    pub(crate) samples: Samples,
}

/// Has a name in the table. Ours is called so.
pub(crate) trait Named {
    fn name(&self) -> &str;
}

/// Times each contender `runs` times, in turn, after one round that does not count.
pub(crate) fn alternate(title: &str, contenders: &[Contender], runs: usize) -> Result<Row> {
    sample(title, contenders, runs, |contender, number| {
        settle();
        let mut command = contender.command(number);
        let start = Instant::now();
        let status = command.status()?;
        let time = start.elapsed();
        if status.success() { Ok(vec![milliseconds(time)]) } else { bail!("{}", contender.explain(number)) }
    })
}

/// Times `count` of each contender started at once until the last has ended.
pub(crate) fn at_once(title: &str, contenders: &[Contender], count: usize, runs: usize) -> Result<Row> {
    sample(title, contenders, runs, |contender, number| {
        settle();
        let start = Instant::now();
        let children = (0..count).map(|_| contender.command(number).spawn()).collect::<std::io::Result<Vec<_>>>()?;
        let mut failed = 0;
        for mut child in children {
            failed += usize::from(!child.wait()?.success());
        }
        let time = start.elapsed();
        if failed == 0 {
            Ok(vec![milliseconds(time)])
        } else {
            bail!("{failed} of {count} failed; alone: {}", contender.explain(number))
        }
    })
}

/// Waits until what was left to be written or cleaned up behind a command that has ended is done: it is not for the next one to pay.
pub(crate) fn settle() {
    const LOOK: Duration = Duration::from_millis(100);
    rustix::fs::sync();
    for _ in 0..30 {
        let before = ticks();
        std::thread::sleep(LOOK);
        let ((busy, all), (busy_before, all_before)) = (ticks(), before);
        if (busy - busy_before) * 10 <= all - all_before {
            return;
        }
    }
}

/// What all processors have done since the boot, and what of it was work: `cpu` of proc_stat(5).
fn ticks() -> (u64, u64) {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let numbers: Vec<u64> =
        stat.lines().next().unwrap_or_default().split_whitespace().filter_map(|word| word.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guests are counted in user
    let all = numbers.iter().take(8).sum();
    let idle: u64 = numbers.iter().skip(3).take(2).sum();
    (all - idle, all)
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Takes `runs` times what `once` measures of each contender, in turn. Who cannot do it in the round that does not count is left out,
/// but for ours.
pub(crate) fn sample<C: Named>(
    title: &str,
    contenders: &[C],
    runs: usize,
    once: impl Fn(&C, usize) -> Result<Vec<f64>>,
) -> Result<Row> {
    let [samples] = samples(title, contenders, runs, |contender, number| Ok([once(contender, number)?]))?;
    Ok(Row { title: title.to_owned(), unit: Unit::Milliseconds, samples })
}

/// The same for several quantities at once.
pub(crate) fn samples<C: Named, const N: usize>(
    title: &str,
    contenders: &[C],
    runs: usize,
    once: impl Fn(&C, usize) -> Result<[Vec<f64>; N]>,
) -> Result<[Samples; N]> {
    eprintln!("bench: {title}: {runs} of each");
    let mut samples = [const { Samples::new() }; N];
    let mut taking_part = Vec::new();
    for contender in contenders {
        match once(contender, 0) {
            Ok(_) => {
                taking_part.push(contender);
                samples.iter_mut().for_each(|samples| samples.push((contender.name().to_owned(), Vec::new())));
            }
            Err(error) if contender.name() == "ours" => return Err(error),
            Err(error) => eprintln!("bench: {} is left out: {error:#}", contender.name()),
        }
    }
    for number in 1..=runs {
        for (at, contender) in taking_part.iter().enumerate() {
            for (samples, values) in samples.iter_mut().zip(once(contender, number)?) {
                samples[at].1.extend(values);
            }
        }
    }
    for (_, values) in samples.iter_mut().flatten() {
        values.sort_by(f64::total_cmp);
    }
    Ok(samples)
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
