//! A network, as the flags of `rctr network create`.

use serde_json::Value;

use super::words::{Field, Table, Words, objects, only, part, text};

pub(super) const TABLE: Table = &[
    ("Name", Field::Fine),
    // Names are never given twice, and there is IPv4 in any case.
    ("CheckDuplicate", Field::Fine),
    ("EnableIPv4", Field::Fine),
    ("Driver", Field::Flag("driver")),
    ("Scope", Field::Flag("scope")),
    ("Internal", Field::Flag("internal")),
    ("Attachable", Field::Flag("attachable")),
    ("EnableIPv6", Field::Flag("ipv6")),
    ("Options", Field::Flag("opt")),
    ("Labels", Field::Flag("label")),
    ("IPAM", Field::Own(addresses)),
];

fn addresses(value: &Value, words: &mut Words) -> Result<(), String> {
    let ipam = value.as_object().ok_or("it is no object")?;
    only(ipam, &["Driver", "Config"])?;
    let driver = part(ipam, "Driver")?;
    if !driver.is_empty() {
        words.flag("ipam-driver", driver);
    }
    for subnet in objects(ipam.get("Config").unwrap_or(&Value::Null))? {
        only(subnet, &["Subnet", "IPRange", "Gateway", "AuxiliaryAddresses", "AuxAddress"])?;
        for (key, flag) in [("Subnet", "subnet"), ("IPRange", "ip-range"), ("Gateway", "gateway")] {
            let address = part(subnet, key)?;
            if !address.is_empty() {
                words.flag(flag, address);
            }
        }
        let reserved = ["AuxiliaryAddresses", "AuxAddress"].iter().filter_map(|key| subnet.get(*key)?.as_object()).flatten();
        for (name, address) in reserved {
            words.flag("aux-address", format!("{name}={}", text(address)?));
        }
    }
    Ok(())
}
