//! `RUN --device`: devices of the host by the names that its files give them (Container Device Interface).

/// A device that a step asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Device {
    /// `vendor.com/class=name`.
    pub(super) name: String,
    /// Without it the step does not run.
    pub(super) required: bool,
}

impl Device {
    /// Reads `NAME`, or `name=NAME`, with `required` or `required=BOOL`, separated by commas.
    ///
    /// # Errors
    /// Why it is none.
    pub(super) fn parse(text: &str) -> Result<Device, String> {
        let mut device = Device::default();
        for field in text.split(',') {
            match field.split_once('=').map_or((field, None), |(key, value)| (key, Some(value))) {
                ("required", value) => device.required = truth(value.unwrap_or("true"))?,
                ("name", Some(value)) if device.name.is_empty() => value.clone_into(&mut device.name),
                // The name of a device has an equals sign, too.
                _ if device.name.is_empty() => field.clone_into(&mut device.name),
                _ => return Err(format!("{field:?}: after the name there is required=BOOL")),
            }
        }
        if device.name.is_empty() { Err("a name is missing: vendor.com/class=name".to_owned()) } else { Ok(device) }
    }
}

fn truth(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" => Ok(true),
        "0" | "f" | "false" => Ok(false),
        _ => Err(format!("required={text}: it is true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read() {
        let device = |name: &str, required| Ok(Device { name: name.to_owned(), required });
        for (text, expected) in [
            ("a.com/b=c", device("a.com/b=c", false)),
            ("name=a.com/b=c", device("a.com/b=c", false)),
            ("a.com/b=c,required", device("a.com/b=c", true)),
            ("required=true,name=a.com/b=c", device("a.com/b=c", true)),
            ("a.com/b=c,required=0", device("a.com/b=c", false)),
        ] {
            assert_eq!(Device::parse(text), expected, "{text}");
        }
        for (text, why) in [("", "missing"), ("required", "missing"), ("a=b,required=x", "required=x"), ("a=b,c=d", "\"c=d\"")] {
            assert!(Device::parse(text).is_err_and(|error| error.contains(why)), "{text}: {:?}", Device::parse(text));
        }
    }
}
