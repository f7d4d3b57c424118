//! The table, then one JSON object a row.

use serde_json::{Map, Value, json};

use crate::measure::{Row, quantile};

/// Prints both.
pub(crate) fn print(bench: &str, rows: &[Row]) {
    println!("{}", table(rows));
    for row in rows {
        println!("{}", object(bench, row));
    }
}

/// Tells of rows that the table will have, too: a bench that takes an hour and is interrupted has measured something.
pub(crate) fn early(rows: &[Row]) {
    eprint!("{}", table(rows));
}

fn table(rows: &[Row]) -> String {
    let titles = rows.iter().map(|row| row.title.len()).max().unwrap_or(0);
    let mut table = format!("{:titles$}  {:8} {:>10} {:>10} {:>6} {:>8}  samples\n", "", "", "median", "p99", "unit", "ratio");
    for row in rows {
        let ours = quantile(&row.samples[0].1, 0.5);
        for (number, (name, times)) in row.samples.iter().enumerate() {
            let title = if number == 0 { row.title.as_str() } else { "" };
            let median = quantile(times, 0.5);
            let ratio = if number == 0 { String::new() } else { format!("{:.4}", ours / median) };
            let (p99, unit) = (quantile(times, 0.99), row.unit.name());
            let count = times.len();
            table.push_str(&format!("{title:titles$}  {name:8} {median:>10.2} {p99:>10.2} {unit:>6} {ratio:>8}  {count}\n"));
        }
    }
    table
}

/// `bare` is the floor and no peer: it has a field of its own.
pub(crate) const BARE: &str = "bare";

fn object(bench: &str, row: &Row) -> Value {
    let rounded = |value: f64| (value * 100.0).round() / 100.0;
    let unit = row.unit.name();
    let peers = || row.samples[1..].iter().filter(|(name, _)| name != BARE);
    let of_peers = |share: f64| -> Map<String, Value> {
        peers().map(|(name, samples)| (name.clone(), json!(rounded(quantile(samples, share))))).collect()
    };
    let ours = &row.samples[0].1;
    let to = |other: f64| (quantile(ours, 0.5) / other * 10_000.0).round() / 10_000.0;
    let best = peers().map(|(_, samples)| quantile(samples, 0.5)).min_by(f64::total_cmp);
    let mut object = json!({
        "bench": bench, "row": row.title, format!("ours_{unit}"): rounded(quantile(ours, 0.5)), format!("peers_{unit}"): of_peers(0.5),
        "best_ratio": best.map(to), "runs": ours.len(), format!("ours_p99_{unit}"): rounded(quantile(ours, 0.99)),
        format!("peers_p99_{unit}"): of_peers(0.99),
    });
    if let Some((_, bare)) = row.samples.iter().find(|(name, _)| name == BARE) {
        object[format!("bare_{unit}")] = json!(rounded(quantile(bare, 0.5)));
        object["bare_ratio"] = json!(to(quantile(bare, 0.5)));
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Unit;

    #[test]
    fn rows_name_the_best_peer_by_ratio() {
        let samples = vec![("ours".to_owned(), vec![5.0]), ("slow".to_owned(), vec![100.0]), ("fast".to_owned(), vec![50.0])];
        let object = object("run", &Row { title: "x".to_owned(), unit: Unit::Milliseconds, samples });
        assert_eq!((&object["best_ratio"], &object["peers_ms"]["slow"], &object["runs"]), (&json!(0.1), &json!(100.0), &json!(1)));
    }

    #[test]
    fn the_floor_is_no_peer() {
        let samples = vec![("ours".to_owned(), vec![4.0]), ("fast".to_owned(), vec![8.0]), ("bare".to_owned(), vec![2.0])];
        let object = object("oci", &Row { title: "x".to_owned(), unit: Unit::Kib, samples });
        assert_eq!((&object["best_ratio"], &object["bare_ratio"], &object["bare_kib"]), (&json!(0.5), &json!(2.0), &json!(2.0)));
        assert!(object["peers_kib"]["bare"].is_null());
    }

    #[test]
    fn without_peers_there_is_no_ratio() {
        let samples = vec![("ours".to_owned(), vec![5.0])];
        let object = object("run", &Row { title: "x".to_owned(), unit: Unit::Milliseconds, samples });
        assert!(object["best_ratio"].is_null());
    }
}
