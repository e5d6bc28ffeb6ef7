//! How deep a block lies before anybody acts on what is in it: the newest blocks of a chain may be taken back.

use std::fmt;
use std::str::FromStr;

use alloy::eips::BlockNumberOrTag;
use alloy::primitives::B256;
use alloy::providers::{DynProvider, Provider};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::LedgerError;

/// Chains of development tools, which make a block when there is a transaction, and take none back by themselves.
const DEVELOPMENT: [u64; 2] = [1337, 31_337];
/// On Ethereum two minutes and a half, and several times what was ever taken back since it has proof of stake.
const USUAL: u64 = 12;

const EXPECTED: &str = "a number of blocks, \"safe\" or \"finalized\"";

/// `confirmations` of a settings file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged, expecting = "a number of blocks, \"safe\" or \"finalized\"")]
pub enum Depth {
    /// Blocks on top of the one that is acted on.
    Blocks(u64),
    Tag(DepthTag),
}

/// What a node of a chain with proof of stake calls its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DepthTag {
    Safe,
    Finalized,
}

impl Depth {
    /// Whatever the node has.
    pub const NONE: Self = Self::Blocks(0);

    /// Where a settings file names none.
    pub fn usual(chain_id: u64) -> Self {
        if DEVELOPMENT.contains(&chain_id) { Self::NONE } else { Self::Blocks(USUAL) }
    }

    /// The newest block that is deep enough.
    pub(super) async fn newest(self, provider: &DynProvider) -> Result<BlockNumberOrTag, LedgerError> {
        Ok(match self {
            Self::NONE => BlockNumberOrTag::Latest,
            Self::Blocks(blocks) => BlockNumberOrTag::Number(provider.get_block_number().await?.saturating_sub(blocks)),
            Self::Tag(DepthTag::Safe) => BlockNumberOrTag::Safe,
            Self::Tag(DepthTag::Finalized) => BlockNumberOrTag::Finalized,
        })
    }
}

impl FromStr for Depth {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "safe" => Ok(Self::Tag(DepthTag::Safe)),
            "finalized" => Ok(Self::Tag(DepthTag::Finalized)),
            blocks => blocks.parse().map(Self::Blocks).map_err(|_| EXPECTED.to_owned()),
        }
    }
}

impl fmt::Display for Depth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blocks(blocks) => write!(f, "confirmations = {blocks}"),
            Self::Tag(DepthTag::Safe) => f.write_str("confirmations = \"safe\""),
            Self::Tag(DepthTag::Finalized) => f.write_str("confirmations = \"finalized\""),
        }
    }
}

/// The chain took back a block that was acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the chain took back block {block} ({was}), which {depth} took for settled: whatever came after block {kept} is read \
     again and what we sent is sent again; wait for more blocks if the chain does so by itself, ask who runs the node if \
     it does not"
)]
pub struct Reorganised {
    /// How often that has happened to this ledger.
    pub count: u64,
    pub block: u64,
    pub was: B256,
    pub depth: Depth,
    /// The last block with an event of ours that still stands.
    pub kept: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct File {
        confirmations: Depth,
    }

    fn check(value: &str) -> Result<Depth, String> {
        let file: Result<File, _> = serde_json::from_str(&format!("{{\"confirmations\":{value}}}"));
        file.map(|file| file.confirmations).map_err(|error| error.to_string())
    }

    #[test]
    fn a_number_or_a_tag() {
        assert_eq!(check("3"), Ok(Depth::Blocks(3)));
        assert_eq!(check("\"finalized\""), Ok(Depth::Tag(DepthTag::Finalized)));
        for depth in [Depth::Blocks(3), Depth::Tag(DepthTag::Safe), Depth::Tag(DepthTag::Finalized)] {
            let text = depth.to_string().replace("confirmations = ", "").replace('"', "");
            assert_eq!(text.parse(), Ok(depth));
        }
        assert_eq!("latest".parse::<Depth>(), Err(EXPECTED.to_owned()));
        let error = check("\"latest\"").unwrap_err();
        assert!(error.contains("a number of blocks, \"safe\" or \"finalized\""), "{error}");
    }

    #[test]
    fn a_chain_of_development_makes_no_block_to_wait_for() {
        assert_eq!(Depth::usual(31_337), Depth::NONE);
        assert_eq!(Depth::usual(1), Depth::Blocks(12));
    }
}
