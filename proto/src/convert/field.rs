//! The checks that the fields have in common.

use alloy_sol_types::SolType;
use almoner_crypto::widest;
use almoner_protocol::{Address, B256, SolValue, types};
use bytes::Bytes;

use crate::FieldError;

/// r ‖ s ‖ v.
pub type Signature = [u8; 65];

/// Base units of the federation's token.
pub type Amount = u128;

/// Digits of the largest u128.
const MAX_DIGITS: usize = 39;
/// Longest binary CID accepted anywhere.
const MAX_CID: usize = 64;

/// A struct and a signature said to be over its EIP-712 hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed<T> {
    pub message: T,
    pub signature: Signature,
}

/// Names the message whose fields are being read.
#[derive(Clone, Copy)]
pub(super) struct Fields(pub(super) &'static str);

impl Fields {
    pub(super) fn error(self, field: &'static str, reason: impl Into<String>) -> FieldError {
        FieldError::new(self.0, field, reason)
    }

    pub(super) fn exactly<const N: usize>(self, field: &'static str, bytes: &[u8]) -> Result<[u8; N], FieldError> {
        bytes.try_into().map_err(|_| self.error(field, format!("{} bytes where {N} are expected", bytes.len())))
    }

    pub(super) fn at_most(self, field: &'static str, length: usize, limit: usize) -> Result<(), FieldError> {
        if length <= limit {
            return Ok(());
        }
        Err(self.error(field, format!("length {length} is above the limit of {limit}")))
    }

    pub(super) fn hash(self, field: &'static str, bytes: &[u8]) -> Result<B256, FieldError> {
        self.exactly(field, bytes).map(B256::new)
    }

    pub(super) fn account(self, field: &'static str, bytes: &[u8]) -> Result<Address, FieldError> {
        self.exactly(field, bytes).map(Address::new)
    }

    pub(super) fn signature(self, bytes: &[u8]) -> Result<Signature, FieldError> {
        self.exactly("signature", bytes)
    }

    pub(super) fn cid(self, field: &'static str, bytes: Bytes) -> Result<Bytes, FieldError> {
        if bytes.is_empty() {
            return Err(self.error(field, "missing"));
        }
        self.optional_cid(field, bytes)
    }

    pub(super) fn optional_cid(self, field: &'static str, bytes: Bytes) -> Result<Bytes, FieldError> {
        self.at_most(field, bytes.len(), MAX_CID)?;
        Ok(bytes)
    }

    pub(super) fn text(self, field: &'static str, text: String, limit: usize) -> Result<String, FieldError> {
        self.at_most(field, text.len(), limit)?;
        Ok(text)
    }

    /// A positive amount of base units.
    pub(super) fn amount(self, field: &'static str, text: String) -> Result<Amount, FieldError> {
        let text = self.text(field, text, MAX_DIGITS)?;
        // `parse` alone would take a leading plus sign, a second spelling of one amount.
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let amount = text.parse().ok().filter(|amount| digits && *amount > 0);
        amount.ok_or_else(|| self.error(field, "not a positive decimal number below 2^128"))
    }

    /// A number in a range whose ends are included.
    pub(super) fn within<T>(self, field: &'static str, value: T, least: T, most: T) -> Result<T, FieldError>
    where
        T: PartialOrd + std::fmt::Display + Copy,
    {
        if value >= least && value <= most {
            return Ok(value);
        }
        Err(self.error(field, format!("{value} is not within {least} to {most}")))
    }

    /// The one ABI encoding of a struct.
    pub(super) fn abi<T>(self, field: &'static str, bytes: &[u8], limit: usize) -> Result<T, FieldError>
    where
        T: SolValue + From<<T::SolType as SolType>::RustType>,
    {
        self.at_most(field, bytes.len(), limit)?;
        let value = T::abi_decode(bytes).map_err(|_| self.error(field, "not the ABI encoding of its struct"))?;
        if value.abi_encode() != bytes {
            return Err(self.error(field, "not the canonical ABI encoding"));
        }
        Ok(value)
    }

    /// Big-endian 64-bit words, at most `limit` of them.
    pub(super) fn words(self, field: &'static str, bytes: &[u8], limit: usize) -> Result<Vec<u64>, FieldError> {
        self.at_most(field, bytes.len(), limit.saturating_mul(8))?;
        words_from_bytes(bytes).ok_or_else(|| self.error(field, "not a whole number of 8-byte words"))
    }

    pub(super) fn stage(self, field: &'static str, number: u32) -> Result<types::Stage, FieldError> {
        u8::try_from(number)
            .ok()
            .and_then(|number| types::Stage::try_from(number).ok())
            .ok_or_else(|| self.error(field, format!("stage {number} does not exist")))
    }
}

/// Reads big-endian words; `None` if bytes are left over.
pub fn words_from_bytes(bytes: &[u8]) -> Option<Vec<u64>> {
    let (words, rest) = bytes.as_chunks::<8>();
    let read = || {
        widest(
            #[inline(always)]
            || words.iter().map(|word| u64::from_be_bytes(*word)).collect(),
        )
    };
    rest.is_empty().then(read)
}

/// Writes big-endian words.
pub fn words_to_bytes(words: &[u64]) -> Bytes {
    let mut bytes = vec![0; 8 * words.len()];
    let pairs = bytes.as_chunks_mut::<8>().0.iter_mut().zip(words);
    widest(
        #[inline(always)]
        || pairs.for_each(|(bytes, word)| *bytes = word.to_be_bytes()),
    );
    bytes.into()
}
