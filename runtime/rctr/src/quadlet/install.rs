//! `[Install]`: a generated unit cannot be enabled, so the links that `systemctl enable` would make are made with it.

use super::syntax::Unit;

/// What is linked where: for each, the link's path below the folder of units, and where it leads.
///
/// # Errors
/// A name leads elsewhere.
pub(super) fn links(unit: &Unit, service: &str) -> Result<Vec<(String, String)>, String> {
    let words = |key: &str| unit.all("Install", key).into_iter().flat_map(str::split_whitespace).collect::<Vec<_>>();
    let name = |key: &str, name: &str| match name.contains('/') || name.starts_with('.') {
        true => Err(format!("{key}={name} in [Install]: no name of a unit")),
        false => Ok(name.to_owned()),
    };
    let mut links = Vec::new();
    for alias in words("Alias") {
        links.push((name("Alias", alias)?, service.to_owned()));
    }
    // A template is wanted as one of its instances.
    let instance = match (service.split_once("@."), unit.last("Install", "DefaultInstance")) {
        (None, _) => service.to_owned(),
        (Some((stem, kind)), Some(instance)) => name("DefaultInstance", &format!("{stem}@{instance}.{kind}"))?,
        (Some(_), None) => return Ok(links),
    };
    for (key, folder) in [("WantedBy", "wants"), ("RequiredBy", "requires"), ("UpheldBy", "upholds")] {
        for target in words(key) {
            links.push((format!("{}.{folder}/{instance}", name(key, target)?), format!("../{service}")));
        }
    }
    Ok(links)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, service: &str) -> Result<String, String> {
        let links = links(&Unit::parse(&format!("[Install]\n{text}")).unwrap(), service)?;
        Ok(links.into_iter().map(|(link, to)| format!("{link}>{to}")).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn links_are_as_systemctl_makes_them() {
        assert_eq!(of("", "a.service").unwrap(), "");
        let all = "WantedBy=x.target y.target\nRequiredBy=z.service\nUpheldBy=u.target\nAlias=b.service";
        let links = "b.service>a.service x.target.wants/a.service>../a.service y.target.wants/a.service>../a.service \
                     z.service.requires/a.service>../a.service u.target.upholds/a.service>../a.service";
        assert_eq!(of(all, "a.service").unwrap(), links);
        assert_eq!(of("WantedBy=x.target", "a@.service").unwrap(), "");
        let instance = "x.target.wants/a@1.service>../a@.service";
        assert_eq!(of("WantedBy=x.target\nDefaultInstance=1", "a@.service").unwrap(), instance);
        assert_eq!(of("WantedBy=x.target", "a@2.service").unwrap(), "x.target.wants/a@2.service>../a@2.service");
        for bad in ["Alias=../x.service", "WantedBy=a/b", "Alias=/etc/passwd"] {
            assert!(of(bad, "a.service").unwrap_err().ends_with("no name of a unit"), "{bad}");
        }
    }
}
