use std::sync::OnceLock;

use fancy_regex::{Regex, RegexBuilder};

/// Steps that a pattern with look-around may take before its value counts as not matching.
const BACKTRACK_LIMIT: usize = 100_000;

/// A regular expression of the model: matches whole values, is compiled at its first use.
#[derive(Debug)]
pub(super) struct Pattern {
    text: String,
    compiled: OnceLock<Regex>,
}

impl Pattern {
    pub(super) fn new(text: String) -> Self {
        Self { text, compiled: OnceLock::new() }
    }

    /// As the model writes it.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the whole value matches; a value that takes too many steps does not.
    pub(super) fn matches(&self, value: &str) -> bool {
        self.compiled
            .get_or_init(|| {
                compile(&self.text).expect("every pattern of the checked-in table compiles: a test holds it")
            })
            .is_match(value)
            .unwrap_or(false)
    }
}

/// The model's patterns are Java's, whose `\w`, `\d` and `\s` mean ASCII.
fn compile(text: &str) -> Result<Regex, Box<fancy_regex::Error>> {
    let ascii = text.replace(r"\w", "[A-Za-z0-9_]").replace(r"\d", "[0-9]");
    let ascii = ascii.replace(r"\s", r"[\t\n\x0b\x0c\r ]").replace(r"\S", r"[^\t\n\x0b\x0c\r ]");
    RegexBuilder::new(&format!(r"\A(?:{ascii})\z")).backtrack_limit(BACKTRACK_LIMIT).build().map_err(Box::new)
}

#[cfg(test)]
mod tests {
    use super::{Pattern, compile};
    use crate::service::ServiceModel;

    #[test]
    fn every_pattern_of_the_table_compiles() {
        let mut count = 0;
        let models = [ServiceModel::lambda(), ServiceModel::logs(), ServiceModel::iam(), ServiceModel::sts()];
        for shape in models.iter().flat_map(|model| &model.shapes) {
            if let Some(pattern) = &shape.constraints.pattern {
                assert!(compile(pattern.as_str()).is_ok(), "{}: {}", shape.name, pattern.as_str());
                count += 1;
            }
        }
        assert!(count > 60, "{count} patterns");
    }

    #[test]
    fn a_pattern_matches_whole_values_and_ascii_only() {
        let check = |pattern: &str, value: &str, expected| {
            assert_eq!(Pattern::new(pattern.to_owned()).matches(value), expected, "`{pattern}` on {value:?}");
        };
        check(r"\d{2}", "12", true);
        check(r"\d{2}", "123", false);
        check(r"\d{2}", "a12", false);
        check(r"\d{2}", "12\n", false);
        check(r"\d{2}", "١٢", false);
        check(r"[\w+=,.@-]+", "a_1@b-c", true);
        check(r"[\w+=,.@-]+", "ａ", false);
        check(r"a|b", "ab", false);
        check(r"[^\s]+", "a.b", true);
        check(r"[^\s]+", "a b", false);
        check(r"(?!^[0-9]+$)([a-zA-Z0-9-_]+)", "7", false);
        check(r"(?!^[0-9]+$)([a-zA-Z0-9-_]+)", "v7", true);
        check(r"[0-9A-Za-z\.\-_]*(?<!\.)", "bucket.", false);
        check(r"[0-9A-Za-z\.\-_]*(?<!\.)", "bucket.a", true);
    }

    #[test]
    fn a_value_that_backtracks_without_end_does_not_match() {
        let pattern = Pattern::new(r"(?!z)(?:a+)+(?<!b)b".to_owned());
        assert!(!pattern.matches(&"a".repeat(5_000)));
    }
}
