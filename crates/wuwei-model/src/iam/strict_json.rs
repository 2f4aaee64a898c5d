//! JSON without names that an object has twice: of two conditions of one name, a reader of the policy sees both.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Why a text is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is no JSON.
    Json,
    /// An object has a name twice.
    Twice,
}

/// Reads a text.
pub(super) fn parse(text: &str) -> Result<Value, Refused> {
    let parsed: Result<Strict, serde_json::Error> = serde_json::from_str(text);
    parsed.map(|Strict(value)| value).map_err(|error| if error.is_data() { Refused::Twice } else { Refused::Json })
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON without a name twice")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some((name, Strict(value))) = access.next_entry::<String, Strict>()? {
            if fields.insert(name, value).is_some() {
                return Err(A::Error::custom("a name twice"));
            }
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::{Refused, parse};
    use serde_json::{Value, json};

    #[test]
    fn a_name_twice_is_refused_wherever_it_is() {
        let check = |text: &str, expected: Result<Value, Refused>| assert_eq!(parse(text), expected, "{text}");
        let plain = json!({"a": [1, -2, 0.5, "x", null, true, {"b": {}}]});
        check(&plain.to_string(), Ok(plain));
        check(r#"{"a":1,"a":1}"#, Err(Refused::Twice));
        check(r#"[{"x":{"a":1,"b":2,"a":1}}]"#, Err(Refused::Twice));
        check(r#"{"a":1,"\u0061":1}"#, Err(Refused::Twice));
        check(r#"{"a":1"#, Err(Refused::Json));
        check("{} {}", Err(Refused::Json));
        check(&"[".repeat(1_000), Err(Refused::Json));
    }
}
