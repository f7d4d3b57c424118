//! What names, labels, addresses and ports may look like, and what is said when they do not.

const LABEL_SHAPE: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric \
     character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN_SHAPE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an \
     alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_1035_SHAPE: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an \
     alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const NAME_PART_SHAPE: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. \
     'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE_SHAPE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
     alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const ENV_SHAPE: &str = "a valid environment variable name must consist only of printable ASCII characters other than '='";
const KEY_SHAPE: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex \
     used for validation is '[-._a-zA-Z0-9]+')";
const PORT_SHAPE: &str = "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)";

fn too_long(most: usize) -> String {
    format!("must be no more than {most} bytes")
}

fn lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    matches!((bytes.first(), bytes.last()), (Some(a), Some(z)) if lower(*a) && lower(*z))
        && bytes.iter().all(|b| lower(*b) || *b == b'-')
}

fn is_name_part(text: &str) -> bool {
    let bytes = text.as_bytes();
    matches!((bytes.first(), bytes.last()), (Some(a), Some(z)) if a.is_ascii_alphanumeric() && z.is_ascii_alphanumeric())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

fn wrong(length: usize, most: usize, fits: bool, shape: &str) -> Vec<String> {
    let mut found = Vec::new();
    if length > most {
        found.push(too_long(most));
    }
    if !fits {
        found.push(shape.into());
    }
    found
}

/// A lower-case label of RFC 1123, at most 63 bytes: names of containers, namespaces.
pub fn dns_label(text: &str) -> Vec<String> {
    wrong(text.len(), 63, is_label(text), LABEL_SHAPE)
}

/// Labels with dots between them, at most 253 bytes: names of most objects.
pub fn dns_subdomain(text: &str) -> Vec<String> {
    wrong(text.len(), 253, text.split('.').all(is_label), SUBDOMAIN_SHAPE)
}

/// A label that begins with a letter: names of services.
pub fn dns_1035_label(text: &str) -> Vec<String> {
    wrong(text.len(), 63, is_label(text) && text.as_bytes()[0].is_ascii_lowercase(), LABEL_1035_SHAPE)
}

/// Names of roles: whatever can be one part of a path.
pub fn path_segment(text: &str) -> Vec<String> {
    match text {
        "." | ".." => vec![format!("may not be '{text}'")],
        _ => ['/', '%'].iter().filter(|c| text.contains(**c)).map(|c| format!("may not contain '{c}'")).collect(),
    }
}

/// A key of a label or annotation: a name, where wanted with a domain before a slash.
pub fn qualified_name(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let name = match text.split_once('/') {
        None => text,
        Some((_, rest)) if rest.contains('/') => {
            return vec![format!(
                "a qualified name {} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
                &NAME_PART_SHAPE[10..]
            )];
        }
        Some(("", name)) => {
            found.push("prefix part must be non-empty".into());
            name
        }
        Some((prefix, name)) => {
            found.extend(dns_subdomain(prefix).into_iter().map(|why| format!("prefix part {why}")));
            name
        }
    };
    if name.is_empty() {
        found.push("name part must be non-empty".into());
    } else if name.len() > 63 {
        found.push(format!("name part {}", too_long(63)));
    }
    if !is_name_part(name) {
        found.push(NAME_PART_SHAPE.into());
    }
    found
}

/// A label's value.
pub fn label_value(text: &str) -> Vec<String> {
    wrong(text.len(), 63, text.is_empty() || is_name_part(text), LABEL_VALUE_SHAPE)
}

/// A name of an environment variable.
pub fn env_name(text: &str) -> Vec<String> {
    wrong(0, 0, !text.is_empty() && text.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'='), ENV_SHAPE)
}

/// A key of a ConfigMap or Secret: it becomes a file's name.
pub fn config_key(text: &str) -> Vec<String> {
    let mut found = wrong(
        text.len(),
        253,
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)),
        KEY_SHAPE,
    );
    if text == "." || text.starts_with("..") {
        found.push(format!("must not be '{}'", if text == "." { "." } else { ".." }));
    }
    found
}

/// A name of a port: an IANA service name.
pub fn port_name(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if text.len() > 15 {
        found.push("must be no more than 15 characters".into());
    }
    if !text.bytes().all(|b| lower(b) || b == b'-') {
        found.push(PORT_SHAPE.into());
    }
    if !text.bytes().any(|b| b.is_ascii_lowercase()) {
        found.push("must contain at least one letter (a-z)".into());
    }
    if text.contains("--") {
        found.push("must not contain consecutive hyphens".into());
    }
    if text.starts_with('-') || text.ends_with('-') {
        found.push("must not begin or end with a hyphen".into());
    }
    found
}

/// An IPv4 or IPv6 address.
pub fn ip(text: &str) -> Vec<String> {
    wrong(0, 0, text.parse::<std::net::IpAddr>().is_ok(), "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")
}

/// An address at which somebody else can be reached: none that means each host's own.
pub fn endpoint(text: &str) -> Vec<String> {
    let Ok(ip) = text.parse::<std::net::IpAddr>() else { return self::ip(text) };
    let (local, all) = match ip {
        std::net::IpAddr::V4(ip) => (ip.is_link_local(), ip.octets()[..3] == [224, 0, 0]),
        std::net::IpAddr::V6(ip) => {
            (ip.is_unicast_link_local(), ip.segments()[0] & 0xffc0 == 0xff00 && ip.segments()[0] & 0xf == 2)
        }
    };
    [
        (ip.is_unspecified(), format!("may not be unspecified ({text})")),
        (ip.is_loopback(), "may not be in the loopback range (127.0.0.0/8, ::1/128)".into()),
        (local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)".into()),
        (all, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".into()),
    ]
    .into_iter()
    .filter_map(|(is, why)| is.then_some(why))
    .collect()
}

/// An address or `None`, of a service.
pub fn cluster_ip(text: &str) -> Vec<String> {
    if text == "None" { Vec::new() } else { ip(text) }
}

/// An absolute path.
pub fn absolute(text: &str) -> Vec<String> {
    wrong(0, 0, text.starts_with('/'), "must be an absolute path")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_as_kubernetes_judges_them() {
        assert!(dns_label("a-1").is_empty() && dns_subdomain("a.b-c.1").is_empty() && dns_1035_label("a1").is_empty());
        assert_eq!(dns_label("A").len(), 1);
        assert_eq!(dns_label(&"a".repeat(64)), ["must be no more than 63 bytes"]);
        assert!(!dns_1035_label("1a").is_empty() && !dns_subdomain("a..b").is_empty() && !dns_label("").is_empty());
        assert!(
            qualified_name("example.com/My.Name_1").is_empty()
                && !qualified_name("/x").is_empty()
                && !qualified_name("a/b/c").is_empty()
        );
        assert!(label_value("").is_empty() && !label_value("-a").is_empty());
        assert!(port_name("http-1").is_empty() && !port_name("1").is_empty() && !port_name("a--b").is_empty());
        assert!(!config_key("..x").is_empty() && config_key(".x").is_empty());
        for bad in
            ["", "x", "0.0.0.0", "127.0.0.1", "127.9.9.9", "169.254.169.254", "224.0.0.251", "::", "::1", "fe80::1", "ff02::1"]
        {
            assert_eq!(endpoint(bad).len(), 1, "{bad}");
        }
        assert!(["10.0.0.1", "192.168.1.1", "2001:db8::1"].iter().all(|good| endpoint(good).is_empty()));
    }
}
