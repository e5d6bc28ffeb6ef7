//! `run.json`: what a run's directory says of itself, so that it can be served again.

use std::fs;
use std::path::Path;

use almoner_chain::Deployment;
use almoner_protocol::{Address, U256};
use serde::{Deserialize, Serialize};

use crate::failure::{Blame, Failure, Kind};
use crate::files::write_whole;

/// Its name in the directory.
pub const RUN_FILE: &str = "run.json";
/// The embedded chain, beside it.
pub const CHAIN_FILE: &str = "chain.log";
/// The content store, beside it.
pub const STORE_DIR: &str = "store";

const MAX_BYTES: u64 = 1 << 20;

/// A run: where its contracts are, how its embedded chain began, which federation it made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunFile {
    pub deployment: Deployment,
    /// Balances in wei that the embedded chain began with; empty where the run settled on a node.
    #[serde(with = "decimal")]
    pub genesis: Vec<(Address, U256)>,
    pub federation: u64,
}

impl RunFile {
    pub fn new(deployment: Deployment, genesis: Vec<(Address, U256)>, federation: u64) -> Self {
        Self { deployment, genesis, federation }
    }

    /// Writes it into a run's directory, whole or not at all.
    pub fn write(&self, dir: &Path) -> Result<(), Failure> {
        let path = dir.join(RUN_FILE);
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        write_whole(&path, &text).blame(Kind::You, path.display().to_string())
    }

    /// Reads the one in a run's directory.
    pub fn read(dir: &Path) -> Result<Self, Failure> {
        let path = dir.join(RUN_FILE);
        let context = format!("{}: is {} the directory of a run?", path.display(), dir.display());
        let length = fs::metadata(&path).blame(Kind::You, context.clone())?.len();
        if length > MAX_BYTES {
            return Err(Failure::you(format!("{}: too long to describe a run", path.display())));
        }
        serde_json::from_slice(&fs::read(&path).blame(Kind::You, context.clone())?).blame(Kind::You, context)
    }
}

/// Amounts as decimal strings: readers of JSON end at 2^53.
mod decimal {
    use almoner_protocol::{Address, U256};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    pub(super) fn serialize<S: Serializer>(accounts: &[(Address, U256)], to: S) -> Result<S::Ok, S::Error> {
        let texts: Vec<(Address, String)> =
            accounts.iter().map(|(account, amount)| (*account, amount.to_string())).collect();
        texts.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(Address, U256)>, D::Error> {
        let amount = |text: &str| {
            // The parser of the type would also take hexadecimal.
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| U256::from_str_radix(text, 10).ok()).flatten()
        };
        let texts = Vec::<(Address, String)>::deserialize(from)?;
        let pairs = texts.into_iter().map(|(account, text)| amount(&text).map(|amount| (account, amount)));
        pairs.collect::<Option<_>>().ok_or_else(|| de::Error::custom("an amount is a decimal string of wei"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_reads_back_and_nothing_else_does() {
        let address = Address::repeat_byte;
        let deployment = Deployment {
            chain_id: 31_337,
            federations: address(1),
            rounds: address(2),
            payouts: address(3),
            token: address(4),
            from_block: 5,
        };
        let amount = U256::from(1000) * U256::from(10).pow(U256::from(18));
        let run = RunFile::new(deployment, vec![(address(9), amount)], 1);
        let dir = tempfile::tempdir().unwrap();
        run.write(dir.path()).unwrap();
        assert_eq!(RunFile::read(dir.path()).unwrap(), run);
        let path = dir.path().join(RUN_FILE);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("\"1000000000000000000000\""));
        for (from, to) in [("\"1000", "\"0x1000"), ("\"federation\"", "\"federations\"")] {
            fs::write(&path, text.replace(from, to)).unwrap();
            assert_eq!(RunFile::read(dir.path()).unwrap_err().kind, Kind::You);
        }
        assert_eq!(RunFile::read(&dir.path().join("elsewhere")).unwrap_err().kind, Kind::You);
    }
}
