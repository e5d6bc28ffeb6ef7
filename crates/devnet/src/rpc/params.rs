use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::RpcError;

/// The positional parameters of one request.
pub(super) struct Params(Vec<Value>);

impl Params {
    pub(super) fn parse(raw: Option<&RawValue>) -> Result<Self, RpcError> {
        let Some(raw) = raw else {
            return Ok(Self(Vec::new()));
        };
        let values: Option<Vec<Value>> =
            serde_json::from_str(raw.get()).map_err(|_| RpcError::params("params: not a list"))?;
        Ok(Self(values.unwrap_or_default()))
    }

    pub(super) fn required<T: DeserializeOwned>(&self, index: usize) -> Result<T, RpcError> {
        self.optional(index)?.ok_or_else(|| RpcError::params(format!("missing value for required argument {index}")))
    }

    pub(super) fn optional<T: DeserializeOwned>(&self, index: usize) -> Result<Option<T>, RpcError> {
        match self.0.get(index) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => T::deserialize(value)
                .map(Some)
                .map_err(|error| RpcError::params(format!("invalid argument {index}: {error}"))),
        }
    }

    /// Seconds as a number or as a hexadecimal string; clients send both.
    pub(super) fn seconds(&self, index: usize) -> Result<u64, RpcError> {
        if let Some(Value::Number(number)) = self.0.get(index) {
            return number.as_u64().ok_or_else(|| RpcError::params("seconds must be a whole number"));
        }
        let value: alloy::primitives::U64 = self.required(index)?;
        Ok(value.to())
    }
}
