//! Where the contracts are, and putting them there.

use alloy::primitives::{Address, Bytes};
use alloy::sol_types::SolValue;
use serde::{Deserialize, Serialize};

use crate::code::check_one;
use crate::contracts::ARTEFACTS;
use crate::{LedgerError, Sender, check_code};

/// The addresses of one deployment: what `/deployment.json` holds. `token` is the plain ERC-20 that came with it; a
/// federation may name another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    pub chain_id: u64,
    pub federations: Address,
    pub rounds: Address,
    pub payouts: Address,
    pub token: Address,
    /// No event is older than this block.
    pub from_block: u64,
}

/// Deploys the test token, Federations, Rounds and Payouts, and checks the code that is there afterwards.
///
/// The three contracts know each other: Federations is told where the other two will be, which follows from the
/// sender's next nonces, and they refuse to exist anywhere else. So the sender must send nothing else meanwhile.
pub async fn deploy(sender: &Sender) -> Result<Deployment, LedgerError> {
    let token = sender.create(&ARTEFACTS.token.bytecode, &[]).await?;
    let nonce = sender.next_nonce();
    let later = |count: u64| sender.address().create(nonce.saturating_add(count));
    let (rounds, payouts) = (later(1), later(2));
    let federations = sender.create(&ARTEFACTS.federations.bytecode, &(rounds, payouts).abi_encode_params()).await?;
    let address = |created: &crate::TxReceipt| {
        created.created.ok_or_else(|| LedgerError::Decode("a creation's receipt names no contract".into()))
    };
    let constructor: Bytes = address(&federations)?.abi_encode().into();
    let rounds_created = sender.create(&ARTEFACTS.rounds.bytecode, &constructor).await?;
    let payouts_created = sender.create(&ARTEFACTS.payouts.bytecode, &constructor).await?;
    let deployment = Deployment {
        chain_id: sender.chain_id(),
        federations: address(&federations)?,
        rounds: address(&rounds_created)?,
        payouts: address(&payouts_created)?,
        token: address(&token)?,
        from_block: federations.block,
    };
    if (deployment.rounds, deployment.payouts) != (rounds, payouts) {
        return Err(LedgerError::Internal("the sender sent something else while deploying".into()));
    }
    check_one(sender.provider(), &ARTEFACTS.token, deployment.token).await?;
    check_code(sender.provider(), &deployment).await?;
    Ok(deployment)
}
