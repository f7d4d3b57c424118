//! Go templates of `--format`, as far as people use them: fields, pipelines, the functions of Docker, `if`, `range`, `with`.
//!
//! ```text
//! text ─parse.rs─▶ nodes ─eval.rs, over a JSON value─▶ text
//! ```

mod eval;
mod parse;

use anyhow::Result;
use serde_json::Value;

use crate::output::table::Table;

/// One value: `json` or a template.
pub(crate) fn one(format: &str, value: &Value) -> Result<String> {
    if format == "json" {
        return Ok(value.to_string());
    }
    eval::run(&parse::parse(&unescape(format))?, value)
}

/// One line for each row: `json`, `table TEMPLATE` with a head made from the field names, or a template.
pub(crate) fn rows(format: &str, rows: &[Value]) -> Result<String> {
    if format == "json" {
        return Ok(rows.iter().map(|row| format!("{row}\n")).collect());
    }
    let (in_table, format) = match format.strip_prefix("table") {
        Some(rest) if rest.starts_with(char::is_whitespace) => (true, rest.trim_start()),
        _ => (false, format),
    };
    let nodes = parse::parse(&unescape(format))?;
    let lines = rows.iter().map(|row| eval::run(&nodes, row)).collect::<Result<Vec<_>>>()?;
    if !in_table {
        return Ok(lines.iter().map(|line| format!("{line}\n")).collect());
    }
    let head = parse::fields(&nodes).iter().map(|field| title(field)).collect::<Vec<_>>();
    let mut table = Table::new(&head.iter().map(String::as_str).collect::<Vec<_>>());
    lines.iter().for_each(|line| table.row(line.split('\t').map(str::to_owned).collect()));
    Ok(table.render())
}

/// A value as a template prints it: strings without quotes, the rest as JSON.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "<no value>".to_owned(),
        Value::Array(items) => format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let entries: Vec<_> = map.iter().map(|(key, value)| format!("{key}:{}", plain(value))).collect();
            format!("map[{}]", entries.join(" "))
        }
        other => other.to_string(),
    }
}

/// `\t` and `\n` as people write them in single quotes.
fn unescape(format: &str) -> String {
    format.replace("\\t", "\t").replace("\\n", "\n")
}

/// `RunningFor` as `RUNNING FOR`, with Docker's own titles for some.
fn title(field: &str) -> String {
    match field {
        "ID" => return "CONTAINER ID".to_owned(),
        "RunningFor" | "CreatedSince" => return "CREATED".to_owned(),
        _ => {}
    }
    let mut title = String::new();
    let mut lower = false;
    for letter in field.chars() {
        if letter.is_uppercase() && lower {
            title.push(' ');
        }
        lower = letter.is_lowercase();
        title.extend(letter.to_uppercase());
    }
    title
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(format: &str) -> String {
        let value = json!({
            "Name": "app", "State": {"Running": true, "Pid": 7}, "Ports": {"80/tcp": [{"HostPort": "8080"}]}, "Args": ["a", "b"],
            "Labels": {"x.y": "1"}, "Nets": {"bridge": {"IP": "10.0.0.2"}}, "None": null,
        });
        one(format, &value).unwrap_or_else(|error| format!("{error:#}"))
    }

    #[test]
    fn what_scripts_write() {
        for (format, expected) in [
            ("{{.Name}}", "app"),
            ("{{ .State.Running }}-{{.State.Pid}}", "true-7"),
            ("{{json .Args}}", r#"["a","b"]"#),
            ("{{.Args | json}}", r#"["a","b"]"#),
            ("{{join .Args \",\"}}", "a,b"),
            ("{{.Args}}", "[a b]"),
            ("{{upper .Name}} {{len .Args}}", "APP 2"),
            (r#"{{index .Labels "x.y"}}"#, "1"),
            (r#"{{(index (index .Ports "80/tcp") 0).HostPort}}"#, "8080"),
            ("{{range .Nets}}{{.IP}}{{end}}", "10.0.0.2"),
            ("{{range $k, $v := .Nets}}{{$k}}={{$v.IP}} {{end}}", "bridge=10.0.0.2 "),
            ("{{range $i, $a := .Args}}{{$i}}{{$a}}{{end}}", "0a1b"),
            ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
            ("{{if not .State.Running}}a{{else if eq .Name \"app\"}}b{{end}}", "b"),
            ("{{with .State}}{{.Pid}}{{end}}", "7"),
            ("{{range .None}}x{{else}}empty{{end}}", "empty"),
            ("a {{- .Name -}} b", "aappb"),
            ("{{printf \"%s:%d\" .Name .State.Pid}}", "app:7"),
            ("{{println .Name}}", "app\n"),
            (r"{{.Name}}\t{{.Name}}", "app\tapp"),
        ] {
            assert_eq!(said(format), expected, "{format}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (format, word) in [
            ("{{.Nmae}}", "Nmae"),
            ("{{.Name", "{{"),
            ("{{foo .Name}}", "foo"),
            ("{{if .Name}}", "end"),
            ("{{end}}", "end"),
            ("{{.State.Pid.X}}", "X"),
        ] {
            let said = said(format);
            assert!(said.contains(word), "{format}: {said}");
        }
    }

    #[test]
    fn tables_have_a_head() {
        let all = rows("table {{.Names}}\\t{{.RunningFor}}", &[json!({"Names": "a", "RunningFor": "1"})]).unwrap();
        assert_eq!(all, "NAMES     CREATED\na         1\n");
    }
}
