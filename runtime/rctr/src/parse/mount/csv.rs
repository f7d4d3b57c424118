//! Fields divided by commas, where a field in quotes may have commas and doubled quotes (RFC 4180), as `--mount` has them.

/// The fields of one line.
pub(in crate::parse) fn fields(text: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquoted(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                if rest[..end].contains('"') {
                    return Err("a quote stands within a field".to_owned());
                }
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(more) => rest = more,
            None if after.is_empty() => return Ok(fields),
            None => return Err("something follows a closing quote".to_owned()),
        }
    }
}

fn unquoted(text: &str) -> Result<(String, &str), String> {
    let mut field = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('"') {
        field.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                field.push('"');
                rest = more;
            }
            None => return Ok((field, after)),
        }
    }
    Err("a quote is not closed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes() {
        let read = |text: &str| fields(text).map(|fields| fields.join("|"));
        assert_eq!(read("a=1,b"), Ok("a=1|b".into()));
        assert_eq!(read(r#"a=1,"o=x,y",b"#), Ok("a=1|o=x,y|b".into()));
        assert_eq!(read(r#""a ""b"" c""#), Ok("a \"b\" c".into()));
        assert_eq!(read("a,,b,"), Ok("a||b|".into()));
        for bad in ["\"a", "a\"b", "\"a\"b"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
