// SPDX-License-Identifier: Apache-2.0
//! JSON in the one form of [RFC 8785](https://www.rfc-editor.org/rfc/rfc8785): sorted keys, no spaces, shortest escapes.
//!
//! Only what the log needs: numbers are whole and at most 2^53 - 1, because a decimal is a string here.

use serde_json::Value;

/// Why a value has no canonical form in the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalFault {
    /// A fraction, a negative number or one beyond 2^53 - 1.
    #[error("number `{0}` cannot be logged: write decimals and large numbers as strings")]
    Number(String),
}

/// The canonical bytes of `value`.
pub fn canonical(value: &Value) -> Result<String, CanonicalFault> {
    let mut text = String::new();
    write(value, &mut text)?;
    Ok(text)
}

fn write(value: &Value, text: &mut String) -> Result<(), CanonicalFault> {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(true) => text.push_str("true"),
        Value::Bool(false) => text.push_str("false"),
        Value::Number(number) => match number.as_u64() {
            Some(whole) if whole <= LARGEST_NUMBER => text.push_str(&whole.to_string()),
            _ => return Err(CanonicalFault::Number(number.to_string())),
        },
        Value::String(string) => write_string(string, text),
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write(item, text)?;
            }
            text.push(']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|(left, _), (right, _)| left.encode_utf16().cmp(right.encode_utf16()));
            text.push('{');
            for (index, (key, member)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_string(key, text);
                text.push(':');
                write(member, text)?;
            }
            text.push('}');
        }
    }
    Ok(())
}

fn write_string(string: &str, text: &mut String) {
    text.push('"');
    for character in string.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\u{8}' => text.push_str("\\b"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\u{c}' => text.push_str("\\f"),
            '\r' => text.push_str("\\r"),
            control if control < ' ' => text.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => text.push(other),
        }
    }
    text.push('"');
}

/// The largest whole number that every JSON reader keeps exactly.
pub(crate) const LARGEST_NUMBER: u64 = (1 << 53) - 1;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn rewritten(json: &str) -> Result<String, CanonicalFault> {
        canonical(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn the_sorting_example_of_rfc_8785_is_reproduced() {
        let input = r#"{"€":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","😀":"Emoji: Grinning Face","\u0080":"Control","ö":"Latin Small Letter O With Diaeresis"}"#;
        let expected = "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\"ö\":\"Latin Small Letter O With Diaeresis\",\"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}";
        assert_eq!(rewritten(input).unwrap(), expected);
    }

    #[test]
    fn strings_use_the_shortest_escapes() {
        let input = r#"["\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/"]"#;
        assert_eq!(
            rewritten(input).unwrap(),
            "[\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"]"
        );
    }

    #[test]
    fn fractions_negatives_and_large_numbers_are_refused() {
        for number in ["1.5", "-1", "9007199254740992", "1e3"] {
            assert!(rewritten(number).is_err(), "{number}");
        }
        assert_eq!(rewritten("9007199254740991").unwrap(), "9007199254740991");
    }
}
