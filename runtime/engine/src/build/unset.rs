//! What a new image does not take over from those below it, which a Dockerfile has no word for.

use serde_json::{Map, Value};

use super::failure::BuildError;

/// Members of an image's config that are left out at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unset {
    /// Names of variables.
    pub env: Vec<String>,
    /// Keys of labels.
    pub labels: Vec<String>,
    /// Folders for which containers get volumes.
    pub volumes: Vec<String>,
    /// Ports that containers listen on, such as `80/tcp`.
    pub ports: Vec<String>,
}

impl Unset {
    /// Takes them out of the config.
    ///
    /// # Errors
    /// One is not there: whoever undoes it believes that it is.
    pub(super) fn apply(&self, config: &mut Map<String, Value>) -> Result<(), BuildError> {
        for (key, what, names) in
            [("Labels", "label", &self.labels), ("Volumes", "volume", &self.volumes), ("ExposedPorts", "exposed port", &self.ports)]
        {
            for name in names {
                let members = config.get_mut(key).and_then(Value::as_object_mut);
                let found = members.and_then(|members| members.remove(name));
                found.ok_or_else(|| BuildError::Invalid(format!("the image has no {what} {name:?} that could be left out")))?;
            }
            // As it is where there were none.
            if config.get(key).and_then(Value::as_object).is_some_and(Map::is_empty) {
                config.remove(key);
            }
        }
        for name in &self.env {
            let all = config.get_mut("Env").and_then(Value::as_array_mut);
            let is_it = |entry: &Value| entry.as_str().and_then(|entry| entry.split_once('=')).is_some_and(|(key, _)| key == name);
            match all.and_then(|all| Some((all.iter().position(is_it)?, all))) {
                Some((at, all)) => drop(all.remove(at)),
                None => return Err(BuildError::Invalid(format!("the image has no variable {name:?} that could be left out"))),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_there_goes() {
        let config = json!({"Env": ["A=1", "AB=2"], "Volumes": {"/v": {}}, "ExposedPorts": {"80/tcp": {}, "81/tcp": {}}, "Labels": {"a": "b"}});
        let Value::Object(mut config) = config else { unreachable!() };
        let words = |word: &str| vec![word.to_owned()];
        let unset = Unset { env: words("A"), labels: words("a"), volumes: words("/v"), ports: words("80/tcp") };
        unset.apply(&mut config).unwrap();
        assert_eq!(Value::Object(config.clone()), json!({"Env": ["AB=2"], "ExposedPorts": {"81/tcp": {}}}));
        for missing in [Unset { env: words("A"), ..Unset::default() }, Unset { volumes: words("/v"), ..Unset::default() }] {
            assert!(missing.apply(&mut config).unwrap_err().to_string().contains("left out"));
        }
    }
}
