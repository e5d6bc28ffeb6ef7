//! Bindings generated from the committed artefacts in `abi/`, and the artefacts themselves.

use std::sync::LazyLock;

use alloy::json_abi::{ContractObject, JsonAbi};
use alloy::primitives::Bytes;

mod generated {
    #![allow(missing_debug_implementations, unreachable_pub, clippy::too_many_arguments)]

    use alloy::sol;

    sol!(
        #[sol(all_derives, extra_derives(serde::Serialize, serde::Deserialize))]
        Federations,
        "abi/Federations.json"
    );
    sol!(
        #[sol(all_derives)]
        Payouts,
        "abi/Payouts.json"
    );
    sol!(
        #[sol(all_derives)]
        TestToken,
        "abi/TestToken.json"
    );
    sol!(
        #[sol(all_derives)]
        Rounds,
        "abi/Rounds.json"
    );
}

pub use generated::{Federations, Payouts, Rounds, TestToken};

/// A compiled contract as committed.
#[derive(Debug)]
pub struct Artefact {
    pub name: &'static str,
    pub abi: JsonAbi,
    /// Creation code, without constructor arguments.
    pub bytecode: Bytes,
    /// Runtime code; immutables are zero in it.
    pub deployed: Bytes,
}

/// The contracts of a deployment.
#[derive(Debug)]
pub struct Artefacts {
    pub token: Artefact,
    pub federations: Artefact,
    pub rounds: Artefact,
    pub payouts: Artefact,
}

impl Artefacts {
    pub fn all(&self) -> [&Artefact; 4] {
        [&self.federations, &self.rounds, &self.payouts, &self.token]
    }
}

/// The committed artefacts, parsed once.
pub static ARTEFACTS: LazyLock<Artefacts> = LazyLock::new(|| Artefacts {
    token: artefact("TestToken", include_str!("../abi/TestToken.json")),
    federations: artefact("Federations", include_str!("../abi/Federations.json")),
    rounds: artefact("Rounds", include_str!("../abi/Rounds.json")),
    payouts: artefact("Payouts", include_str!("../abi/Payouts.json")),
});

fn artefact(name: &'static str, json: &str) -> Artefact {
    // The files are part of the program, and a test parses them: they are well-formed in every build that shipped.
    let object: ContractObject = serde_json::from_str(json).expect("a committed artefact is JSON");
    Artefact {
        name,
        abi: object.abi.expect("a committed artefact has an abi"),
        bytecode: object.bytecode.expect("a committed artefact has bytecode"),
        deployed: object.deployed_bytecode.expect("a committed artefact has runtime code"),
    }
}

#[cfg(test)]
mod tests;
