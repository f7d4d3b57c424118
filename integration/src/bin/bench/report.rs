//! The table, then one JSON object a row.

use serde_json::{Map, json};

use crate::measure::{Row, quantile};

/// Prints both.
pub(crate) fn print(bench: &str, rows: &[Row]) {
    let titles = rows.iter().map(|row| row.title.len()).max().unwrap_or(0);
    println!("{:titles$}  {:8} {:>10} {:>10} {:>8}  runs", "", "", "median ms", "p99 ms", "ratio");
    for row in rows {
        let ours = quantile(&row.samples[0].1, 0.5);
        for (number, (name, times)) in row.samples.iter().enumerate() {
            let title = if number == 0 { row.title.as_str() } else { "" };
            let median = quantile(times, 0.5);
            let ratio = if number == 0 { String::new() } else { format!("{:.4}", ours / median) };
            println!("{title:titles$}  {name:8} {median:>10.2} {:>10.2} {ratio:>8}  {}", quantile(times, 0.99), times.len());
        }
    }
    println!();
    for row in rows {
        println!("{}", object(bench, row));
    }
}

fn object(bench: &str, row: &Row) -> serde_json::Value {
    let rounded = |value: f64| (value * 100.0).round() / 100.0;
    let of_peers = |share: f64| -> Map<String, serde_json::Value> {
        row.samples[1..].iter().map(|(name, times)| (name.clone(), json!(rounded(quantile(times, share))))).collect()
    };
    let ours = &row.samples[0].1;
    let best = row.samples[1..].iter().map(|(_, times)| quantile(times, 0.5)).min_by(f64::total_cmp);
    let ratio = best.map(|best| (quantile(ours, 0.5) / best * 10_000.0).round() / 10_000.0);
    json!({
        "bench": bench, "row": row.title, "ours_ms": rounded(quantile(ours, 0.5)), "peers_ms": of_peers(0.5), "best_ratio": ratio,
        "runs": ours.len(), "ours_p99_ms": rounded(quantile(ours, 0.99)), "peers_p99_ms": of_peers(0.99),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_name_the_best_peer_by_ratio() {
        let samples = vec![("ours".to_owned(), vec![5.0]), ("slow".to_owned(), vec![100.0]), ("fast".to_owned(), vec![50.0])];
        let object = object("run", &Row { title: "x".to_owned(), samples });
        assert_eq!((&object["best_ratio"], &object["peers_ms"]["slow"], &object["runs"]), (&json!(0.1), &json!(100.0), &json!(1)));
    }

    #[test]
    fn without_peers_there_is_no_ratio() {
        let object = object("run", &Row { title: "x".to_owned(), samples: vec![("ours".to_owned(), vec![5.0])] });
        assert!(object["best_ratio"].is_null());
    }
}
