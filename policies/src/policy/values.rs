// SPDX-License-Identifier: Apache-2.0

//! The kinds of value that a policy holds. Each reader answers with the value, or with what it found instead,
//! in words that fit after `is`.

use std::fmt::Display;

use toml::de::DeValue;

use super::reader::nearest;
use crate::words::ANALYSES;
use crate::{Date, Hours, Word};

pub(super) fn text(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        DeValue::String(_) => Err("empty".to_owned()),
        other => Err(kind(other).to_owned()),
    }
}

pub(super) fn texts(value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let DeValue::Array(items) = value else {
        return Err(kind(value).to_owned());
    };
    let mut texts = Vec::new();
    for item in items.iter() {
        let text = text(item.get_ref())?;
        if texts.contains(&text) {
            return Err(format!("a list that names `{text}` twice"));
        }
        texts.push(text);
    }
    if texts.is_empty() {
        Err("an empty list".to_owned())
    } else {
        Ok(texts)
    }
}

pub(super) fn whole_number(value: &DeValue<'_>) -> Result<u64, String> {
    match value {
        DeValue::Integer(integer) => u64::from_str_radix(integer.as_str(), integer.radix())
            .map_err(|_| format!("`{integer}`")),
        other => Err(kind(other).to_owned()),
    }
}

pub(super) fn whole_number_from(least: u32) -> impl FnOnce(&DeValue<'_>) -> Result<u32, String> {
    move |value| {
        let number = whole_number(value)?;
        match u32::try_from(number) {
            Ok(number) if number >= least => Ok(number),
            _ => Err(format!("`{number}`")),
        }
    }
}

pub(super) fn truth(value: &DeValue<'_>) -> Result<bool, String> {
    match value {
        DeValue::Boolean(truth) => Ok(*truth),
        other => Err(kind(other).to_owned()),
    }
}

pub(super) fn word<W: Word>(value: &DeValue<'_>) -> Result<W, String> {
    let text = text(value)?;
    W::from_word(&text).ok_or_else(|| format!("`{text}`"))
}

pub(super) fn words<W: Word>(value: &DeValue<'_>) -> Result<Vec<W>, String> {
    texts(value)?
        .iter()
        .map(|text| W::from_word(text).ok_or_else(|| format!("`{text}`")))
        .collect()
}

/// An amount of privacy: a decimal in quotes, so that it is read as written.
pub(super) fn amount<T, F: Display>(
    parse: impl FnOnce(&str) -> Result<T, F>,
) -> impl FnOnce(&DeValue<'_>) -> Result<T, String> {
    move |value| match value {
        DeValue::String(text) => parse(text.trim()).map_err(|fault| format!("`{text}` ({fault})")),
        other => Err(format!("{} without quotes", kind(other))),
    }
}

/// The spellings of a vocabulary, for the fix of a fault.
pub(super) fn spellings<W: Word>() -> String {
    spelt(
        &W::ALL
            .iter()
            .map(|value| value.as_str())
            .collect::<Vec<_>>(),
    )
}

pub(super) fn spelt(words: &[&str]) -> String {
    match words {
        [only] => format!("`{only}`"),
        _ => format!("one of `{}`", words.join("`, `")),
    }
}

pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "`true` or `false`",
        DeValue::Datetime(date) if date.time.is_some() => "a date with a time",
        DeValue::Datetime(_) => "a date without quotes",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}

/// A SHA-256 digest in lower-case hexadecimal.
pub(super) fn digest(text: String) -> Result<String, String> {
    let hexadecimal = text
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if text.len() == 64 && hexadecimal {
        Ok(text)
    } else {
        Err(format!("`{text}`"))
    }
}

pub(super) fn analysis(text: String) -> Result<String, String> {
    if ANALYSES.contains(&text.as_str()) {
        return Ok(text);
    }
    Err(match nearest(&text, ANALYSES) {
        Some(meant) => format!("`{text}` (did you mean `{meant}`?)"),
        None => format!("`{text}`"),
    })
}

pub(super) fn date(value: &DeValue<'_>) -> Result<Date, String> {
    match value {
        DeValue::Datetime(date) if date.time.is_none() => date
            .to_string()
            .parse::<Date>()
            .map_err(|_| format!("`{date}`")),
        other => {
            let text = text(other)?;
            text.parse::<Date>().map_err(|_| format!("`{text}`"))
        }
    }
}

pub(super) fn hours(value: &DeValue<'_>) -> Result<Hours, String> {
    let DeValue::Array(items) = value else {
        return Err("no list".to_owned());
    };
    let [from, to] = items.iter().collect::<Vec<_>>()[..] else {
        return Err("no list of two hours".to_owned());
    };
    let (from, to) = (hour(from.get_ref(), 0..=23)?, hour(to.get_ref(), 1..=24)?);
    Hours::new(from, to).ok_or_else(|| format!("`[{from}, {to}]`"))
}

pub(super) fn hour(value: &DeValue<'_>, range: std::ops::RangeInclusive<u8>) -> Result<u8, String> {
    let number = whole_number(value)?;
    u8::try_from(number)
        .ok()
        .filter(|hour| range.contains(hour))
        .ok_or_else(|| format!("`{number}`"))
}
