//! Revert data in words: the name and arguments of the custom error, of whichever contract it came from.

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use alloy::dyn_abi::{DynSolValue, ErrorExt};
use alloy::json_abi::Error as AbiError;
use alloy::primitives::{Bytes, Selector, hex};

use crate::contracts::ARTEFACTS;

/// Errors of the libraries we build on that a call can end in without being declared by the contract called, and the
/// two that the language itself raises.
const OTHERS: [&str; 18] = [
    "error Error(string reason)",
    "error Panic(uint256 code)",
    "error ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed)",
    "error ERC20InsufficientAllowance(address spender, uint256 allowance, uint256 needed)",
    "error ERC20InvalidSender(address sender)",
    "error ERC20InvalidReceiver(address receiver)",
    "error ERC20InvalidApprover(address approver)",
    "error ERC20InvalidSpender(address spender)",
    "error SafeERC20FailedOperation(address token)",
    "error SafeERC20FailedDecreaseAllowance(address spender, uint256 currentAllowance, uint256 requestedDecrease)",
    "error ReentrancyGuardReentrantCall()",
    "error ECDSAInvalidSignature()",
    "error ECDSAInvalidSignatureLength(uint256 length)",
    "error ECDSAInvalidSignatureS(bytes32 s)",
    "error InvalidShortString()",
    "error StringTooLong(string str)",
    "error SafeCastOverflowedUintDowncast(uint8 bits, uint256 value)",
    "error FailedCall()",
];

/// Why a call was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revert {
    /// The contract that declares the error; the first of them, if several do. `None` for one of a library.
    pub contract: Option<&'static str>,
    /// Name of the error; empty if the data is none we know.
    pub name: String,
    /// Arguments by name, as text.
    pub arguments: Vec<(String, String)>,
    pub data: Bytes,
}

impl Revert {
    /// Reads revert data. Never fails: what is not known is shown as bytes.
    pub fn decode(data: Bytes) -> Self {
        let known = data.first_chunk::<4>().and_then(|selector| ERRORS.get(&Selector::from(*selector)));
        let decoded = known.and_then(|(contract, error)| Some((contract, error, error.decode_error(&data).ok()?)));
        let Some((contract, error, decoded)) = decoded else {
            return Self { contract: None, name: String::new(), arguments: Vec::new(), data };
        };
        let names = error.inputs.iter().map(|input| input.name.clone());
        let arguments = names.zip(decoded.body.iter().map(shown)).collect();
        Self { contract: *contract, name: error.name.clone(), arguments, data }
    }

    /// Whether it is the error of this name.
    pub fn is(&self, name: &str) -> bool {
        self.name == name
    }

    /// The argument of this name.
    pub fn argument(&self, name: &str) -> Option<&str> {
        self.arguments.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl fmt::Display for Revert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_empty() {
            return match self.data.is_empty() {
                true => f.write_str("no reason given"),
                false => write!(f, "unknown error {}", self.data),
            };
        }
        if let Some(contract) = self.contract {
            write!(f, "{contract}.")?;
        }
        write!(f, "{}(", self.name)?;
        for (index, (name, value)) in self.arguments.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{name}: {value}")?;
        }
        f.write_str(")")
    }
}

type Known = (Option<&'static str>, AbiError);

static ERRORS: LazyLock<HashMap<Selector, Known>> = LazyLock::new(|| {
    let mut known = HashMap::new();
    for artefact in ARTEFACTS.all() {
        for error in artefact.abi.errors() {
            known.entry(error.selector()).or_insert_with(|| (Some(artefact.name), error.clone()));
        }
    }
    for text in OTHERS {
        // Constants, and a test decodes each: a malformed one does not get past it.
        let error = AbiError::parse(text).expect("a well-formed error declaration");
        known.insert(error.selector(), (None, error));
    }
    known
});

/// A `bytes32` that holds a word (the name of a field) is shown as that word.
fn shown(value: &DynSolValue) -> String {
    match value {
        DynSolValue::FixedBytes(word, size) => {
            let text = word[..*size].trim_ascii_end();
            let text = &text[..text.iter().rposition(|byte| *byte != 0).map_or(0, |last| last.saturating_add(1))];
            match std::str::from_utf8(text) {
                Ok(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) => text.to_owned(),
                _ => hex::encode_prefixed(&word[..*size]),
            }
        }
        DynSolValue::Uint(number, _) => number.to_string(),
        DynSolValue::Int(number, _) => number.to_string(),
        DynSolValue::Address(address) => address.to_string(),
        DynSolValue::Bool(flag) => flag.to_string(),
        DynSolValue::String(text) => format!("{text:?}"),
        DynSolValue::Bytes(bytes) => hex::encode_prefixed(bytes),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests;
