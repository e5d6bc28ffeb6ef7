//! Reading and writing the flat fields of a vector.

use std::fmt::Display;
use std::str::FromStr;

use serde_json::Value;

use super::Object;

/// A field that is one string.
pub(super) fn one<T: FromStr>(vector: &Object, field: &str) -> T {
    parse(vector.get(field).unwrap_or_else(|| panic!("no {field}")), field)
}

/// A field that is an array of strings.
pub(super) fn many<T: FromStr>(vector: &Object, field: &str) -> Vec<T> {
    let values = vector.get(field).and_then(Value::as_array).unwrap_or_else(|| panic!("no array {field}"));
    values.iter().map(|value| parse(value, field)).collect()
}

fn parse<T: FromStr>(value: &Value, field: &str) -> T {
    let text = value.as_str().unwrap_or_else(|| panic!("{field} is not a string"));
    text.parse().unwrap_or_else(|_| panic!("{field}: {text}"))
}

pub(super) fn text(value: impl Display) -> Value {
    Value::String(value.to_string())
}

pub(super) fn texts<T: Display>(values: impl IntoIterator<Item = T>) -> Value {
    Value::Array(values.into_iter().map(text).collect())
}

pub(super) fn object<const N: usize>(fields: [(&str, Value); N]) -> Object {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
