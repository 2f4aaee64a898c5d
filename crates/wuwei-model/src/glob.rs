//! Patterns with wildcards.

/// Whether a name matches a pattern, in which `*` stands for any characters and `?` for one.
#[must_use]
pub fn glob_matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at_pattern, mut at_name) = (0, 0);
    // Where to go on when a later part does not fit: behind the last star, one more character given to it.
    let mut retry: Option<(usize, usize)> = None;
    while at_name < name.len() {
        match pattern.get(at_pattern) {
            Some(b'*') => {
                at_pattern += 1;
                retry = Some((at_pattern, at_name));
            }
            Some(&symbol) if symbol == b'?' || symbol == name[at_name] => {
                at_pattern += 1;
                at_name += 1;
            }
            Some(_) | None => {
                let Some((star, taken)) = retry else { return false };
                at_pattern = star;
                at_name = taken + 1;
                retry = Some((star, at_name));
            }
        }
    }
    pattern.iter().skip(at_pattern).all(|&symbol| symbol == b'*')
}

#[cfg(test)]
mod tests {
    use super::glob_matches;

    #[test]
    fn stars_and_question_marks_match_as_in_a_shell() {
        let check = |pattern, name, expected| assert_eq!(glob_matches(pattern, name), expected, "{pattern} {name}");
        check("*", "", true);
        check("*", "anything", true);
        check("", "", true);
        check("", "a", false);
        check("team-*", "team-a", true);
        check("team-*", "team-", true);
        check("team-*", "tea", false);
        check("*-prod", "a-prod-prod", true);
        check("a?c", "abc", true);
        check("a?c", "ac", false);
        check("a*b*c", "a-b-b-c", true);
        check("a*b*c", "a-b-b-d", false);
    }

    #[test]
    fn many_stars_stay_cheap() {
        assert!(!glob_matches(&"*a".repeat(30), &"a".repeat(29)));
    }
}
