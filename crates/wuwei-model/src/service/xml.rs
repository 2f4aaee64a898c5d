//! Text in XML.

/// Text as it stands between two tags. Characters that XML 1.0 cannot have are left out.
#[must_use]
pub fn escape_xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // Readers turn it into a newline otherwise.
            '\r' => escaped.push_str("&#xD;"),
            '\n' | '\t' => escaped.push(character),
            '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => {}
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escape_xml;
    use proptest::prelude::{any, proptest};

    #[test]
    fn nothing_breaks_out_of_its_element() {
        let check = |text: &str, expected: &str| assert_eq!(escape_xml(text), expected);
        check("plain", "plain");
        check("<a b=\"c\">&amp;</a>", "&lt;a b=&quot;c&quot;&gt;&amp;amp;&lt;/a&gt;");
        check("]]>", "]]&gt;");
        check("a\u{0}\u{8}\u{1b}\u{85}\u{fffe}b", "ab");
        check("one\r\ntwo\tthree", "one&#xD;\ntwo\tthree");
        check("日本 🦀", "日本 🦀");
    }

    proptest! {
        #[test]
        fn no_text_has_markup_left(text in any::<String>()) {
            let escaped = escape_xml(&text);
            assert!(!escaped.contains(['<', '>', '"']), "{escaped}");
            for part in escaped.split('&').skip(1) {
                assert!(["amp;", "lt;", "gt;", "quot;", "#xD;"].iter().any(|known| part.starts_with(known)), "{escaped}");
            }
        }
    }
}
