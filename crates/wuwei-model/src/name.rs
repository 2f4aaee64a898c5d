use std::str::FromStr;

use thiserror::Error;

/// What a caller wrote where AWS takes a function name: a name, a partial ARN or a full ARN, with or without qualifier.
///
/// Source: the pattern of `FunctionName` in the service model,
/// `(arn:…:lambda:)?(region:)?(account:)?(function:)?name(:qualifier)?`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FunctionReference {
    /// Twelve digits.
    pub account: Option<String>,
    /// For example `us-east-1`.
    pub region: Option<String>,
    /// Letters, digits, hyphens, underscores; dots too, which some operations accept.
    pub name: String,
    /// `$LATEST`, `$LATEST.PUBLISHED`, a version number or an alias.
    pub qualifier: Option<String>,
}

/// The text names no function.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ParseFunctionReferenceError {
    /// It starts like an ARN, but is none of Lambda's, or lacks the region, the account or `function`.
    #[error("`{0}` is not the ARN of a Lambda function")]
    Arn(String),
    /// Empty, or with characters that no name has.
    #[error("`{0}` is not a function name")]
    Name(String),
    /// Empty, or with characters that no qualifier has.
    #[error("`{0}` is not a qualifier")]
    Qualifier(String),
    /// More parts than a name and a qualifier.
    #[error("`{0}` has more parts than a function name and a qualifier")]
    TooManyParts(String),
}

impl FromStr for FunctionReference {
    type Err = ParseFunctionReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        use ParseFunctionReferenceError::{Arn, Name, Qualifier, TooManyParts};

        let mut parts: Vec<&str> = text.split(':').collect();
        let full = parts.first() == Some(&"arn") && parts.len() > 2;
        if full {
            let sound = matches!(parts.as_slice(), ["arn", partition, "lambda", region, account, "function", _, ..]
                if is_partition(partition) && is_region(region) && is_account(account));
            if !sound {
                return Err(Arn(text.to_owned()));
            }
            parts.drain(..3);
        }
        // `my-app-1:2` is a function and its version, however much the name looks like a region.
        let names_region = parts.get(1).is_some_and(|next| is_account(next) || *next == "function");
        let mut left = parts.len();
        let mut rest = parts.into_iter().peekable();
        // A prefix is one only where something follows it: `function` alone is a name.
        let mut take = |left: &mut usize, is_prefix: fn(&str) -> bool| {
            let taken = if *left > 1 { rest.next_if(|part| is_prefix(part)) } else { None };
            *left -= usize::from(taken.is_some());
            taken.map(str::to_owned)
        };
        let region = if names_region { take(&mut left, is_region) } else { None };
        let account = take(&mut left, is_account);
        take(&mut left, |part| part == "function");
        let name = rest.next().filter(|name| is_name(name)).ok_or_else(|| Name(text.to_owned()))?.to_owned();
        let qualifier = rest.next().map(str::to_owned);
        if rest.next().is_some() {
            return Err(TooManyParts(text.to_owned()));
        }
        match qualifier {
            Some(qualifier) if !is_qualifier(&qualifier) => Err(Qualifier(qualifier)),
            qualifier => Ok(Self { account, region, name, qualifier }),
        }
    }
}

fn is_partition(text: &str) -> bool {
    text.strip_prefix("aws").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-'))
}

/// For example `us-east-1`, `us-gov-west-1`, `us-isob-east-1`.
fn is_region(text: &str) -> bool {
    let lowercase = |part: &str| is_of(part, |byte| byte.is_ascii_lowercase());
    let parts: Vec<&str> = text.split('-').collect();
    let (country, area, number) = match parts.as_slice() {
        [country, area, number] => (country, area, number),
        [country, kind, area, number] if *kind == "gov" || kind.starts_with("iso") && kind.len() <= 4 => {
            (country, area, number)
        }
        _ => return false,
    };
    country.len() == 2
        && lowercase(country)
        && lowercase(area)
        && number.len() == 1
        && is_of(number, |byte| byte.is_ascii_digit())
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && is_of(text, |byte| byte.is_ascii_digit())
}

fn is_name(text: &str) -> bool {
    is_of(text, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn is_qualifier(text: &str) -> bool {
    matches!(text, "$LATEST" | "$LATEST.PUBLISHED")
        || is_of(text, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn is_of(text: &str, allowed: fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::{FunctionReference, ParseFunctionReferenceError};

    #[test]
    fn every_form_of_a_function_name_is_read() {
        let check = |text: &str, region: &str, account: &str, name: &str, qualifier: &str| {
            let given = |part: &str| (!part.is_empty()).then(|| part.to_owned());
            let expected = FunctionReference {
                account: given(account),
                region: given(region),
                name: name.to_owned(),
                qualifier: given(qualifier),
            };
            assert_eq!(text.parse(), Ok(expected), "{text}");
        };
        check("my-fn_1", "", "", "my-fn_1", "");
        check("my-fn:prod", "", "", "my-fn", "prod");
        check("my-fn:$LATEST", "", "", "my-fn", "$LATEST");
        check("my-fn:7", "", "", "my-fn", "7");
        check("function", "", "", "function", "");
        check("function:fn", "", "", "fn", "");
        check("123456789012", "", "", "123456789012", "");
        check("123456789012:function:fn", "", "123456789012", "fn", "");
        check("123456789012:function:fn:prod", "", "123456789012", "fn", "prod");
        check("123456789012:fn", "", "123456789012", "fn", "");
        check("my-app-1:2", "", "", "my-app-1", "2");
        check("us-east-1:prod", "", "", "us-east-1", "prod");
        check("js-kinds-of-calls-9:1", "", "", "js-kinds-of-calls-9", "1");
        check("us-isob-east-1:function:fn", "us-isob-east-1", "", "fn", "");
        check("us-east-1:123456789012:function:fn", "us-east-1", "123456789012", "fn", "");
        check("arn:aws:lambda:eu-west-3:123456789012:function:fn", "eu-west-3", "123456789012", "fn", "");
        check("arn:aws:lambda:us-east-1:123456789012:function:fn:12", "us-east-1", "123456789012", "fn", "12");
        check(
            "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:a.b",
            "us-gov-west-1",
            "123456789012",
            "a.b",
            "",
        );
        check("arn", "", "", "arn", "");
        check("arn:prod", "", "", "arn", "prod");
    }

    #[test]
    fn what_names_no_function_is_refused_with_its_reason() {
        use ParseFunctionReferenceError::{Arn, Name, Qualifier, TooManyParts};
        let check = |text: &str, expected: fn(String) -> ParseFunctionReferenceError, part: &str| {
            assert_eq!(text.parse::<FunctionReference>(), Err(expected(part.to_owned())), "{text}");
        };
        check("", Name, "");
        check("a b", Name, "a b");
        check(":prod", Name, ":prod");
        check("fn:", Qualifier, "");
        check("fn:a.b", Qualifier, "a.b");
        check("fn:$OTHER", Qualifier, "$OTHER");
        check("fn:a:b", TooManyParts, "fn:a:b");
        check("arn:aws:s3:::bucket", Arn, "arn:aws:s3:::bucket");
        check("arn:aws:lambda:us-east-1:12:function:fn", Arn, "arn:aws:lambda:us-east-1:12:function:fn");
        check("arn:aws:lambda:us-east-1:123456789012:layer:fn", Arn, "arn:aws:lambda:us-east-1:123456789012:layer:fn");
        check("arn:aws:lambda:us-east-1:123456789012:function", Arn, "arn:aws:lambda:us-east-1:123456789012:function");
    }

    proptest! {
        #[test]
        fn reading_a_reference_never_panics(text in any::<String>()) {
            let _reference = text.parse::<FunctionReference>();
        }

        #[test]
        fn reading_what_looks_like_a_reference_never_panics(text in "(arn|aws|lambda|:|function|us-east-1|[0-9]{12}|fn|\\$LATEST){0,9}") {
            let _reference = text.parse::<FunctionReference>();
        }
    }
}
