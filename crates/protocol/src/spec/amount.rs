//! Token amounts in files.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Base units of the token. Written as a decimal string, because numbers of TOML and JSON readers end at 2^63 or 2^53.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(pub u128);

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // `u128::from_str` alone would also take a plus sign.
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(de::Error::custom("an amount is a decimal string of base units, such as \"1000\""));
        }
        text.parse().map(Self).map_err(|_| de::Error::custom("an amount of base units must be below 2^128"))
    }
}
