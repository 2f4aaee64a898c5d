use serde::Deserialize;
use wuwei_model::EgressPolicy;

use crate::failure::Failure;

/// Value of `egress` in a TOML file: a word, or a list of what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum EgressEntries {
    /// `none`, `internet`, or a list with commas.
    Text(String),
    /// Entries of a list.
    List(Vec<String>),
}

impl EgressEntries {
    /// The policy that it means.
    pub(crate) fn policy(&self) -> Result<EgressPolicy, Failure> {
        let policy = match self {
            Self::Text(text) => text.parse(),
            Self::List(entries) => EgressPolicy::from_entries(entries.iter().map(String::as_str)),
        };
        policy.map_err(|error| {
            Failure::usage("cannot read `egress`")
                .because(error)
                .hint("for example egress = \"none\", or egress = [\"10.0.0.5:5432\", \"api.example.com:443\"]")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::EgressEntries;

    #[test]
    fn a_word_or_a_list_is_a_policy() {
        #[derive(serde::Deserialize)]
        struct File {
            egress: EgressEntries,
        }
        let policy = |text: &str| toml::from_str::<File>(text).unwrap().egress.policy();
        assert_eq!(policy("egress = \"internet\"").unwrap().to_string(), "internet");
        assert_eq!(policy("egress = [\"db:5432\"]").unwrap().to_string(), "db:5432");
        assert!(policy("egress = [\"db\"]").unwrap_err().text().contains("without a port"));
    }
}
