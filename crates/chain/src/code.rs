//! Is the code at an address the code we committed? Asked before money is sent there.

use alloy::primitives::Address;
use alloy::providers::{DynProvider, Provider};

use crate::contracts::{ARTEFACTS, Artefact};
use crate::{Deployment, LedgerError};

const PUSH32: u8 = 0x7f;

/// Compares the runtime code of the deployment's own contracts with the committed artefacts. The token is the
/// federation's choice and may be any ERC-20, so it is not compared.
pub async fn check_code(provider: &DynProvider, deployment: &Deployment) -> Result<(), LedgerError> {
    let contracts = [
        (&ARTEFACTS.federations, deployment.federations),
        (&ARTEFACTS.rounds, deployment.rounds),
        (&ARTEFACTS.payouts, deployment.payouts),
    ];
    let [federations, rounds, payouts] = contracts.map(|(artefact, address)| check_one(provider, artefact, address));
    let (federations, rounds, payouts) = tokio::join!(federations, rounds, payouts);
    federations.and(rounds).and(payouts)
}

pub(crate) async fn check_one(
    provider: &DynProvider,
    artefact: &Artefact,
    address: Address,
) -> Result<(), LedgerError> {
    let code = provider.get_code_at(address).await?;
    match same_but_immutables(&artefact.deployed, &code) {
        true => Ok(()),
        false => Err(LedgerError::WrongCode { contract: artefact.name, address }),
    }
}

/// Equal, except that where the committed code pushes 32 zero bytes the deployed code may push another word: the
/// compiler leaves such a gap for every use of an immutable, and nowhere else has a reason to push a full zero word.
fn same_but_immutables(committed: &[u8], deployed: &[u8]) -> bool {
    if committed.len() != deployed.len() {
        return false;
    }
    let mut at = 0;
    while let Some(byte) = committed.get(at) {
        if deployed.get(at) != Some(byte) {
            return false;
        }
        let gap = at.saturating_add(1)..at.saturating_add(33);
        let is_gap = *byte == PUSH32 && committed.get(gap.clone()).is_some_and(|word| word.iter().all(|b| *b == 0));
        at = if is_gap { gap.end } else { gap.start };
    }
    true
}

#[cfg(test)]
mod tests {
    use super::same_but_immutables;

    #[test]
    fn only_the_gaps_of_immutables_may_differ() {
        let committed = [&[0x60, 1, 0x7f][..], &[0; 32], &[0x01]].concat();
        let filled = [&[0x60, 1, 0x7f][..], &[7; 32], &[0x01]].concat();
        assert!(same_but_immutables(&committed, &committed));
        assert!(same_but_immutables(&committed, &filled));
        for at in [0, 1, 2, 35] {
            let mut other = filled.clone();
            other[at] ^= 1;
            assert!(!same_but_immutables(&committed, &other), "byte {at}");
        }
        assert!(!same_but_immutables(&committed, &filled[..35]));
    }
}
