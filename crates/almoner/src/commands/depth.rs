//! How deep a block lies before a command believes what is in it, and waiting for that.

use std::time::Duration;

use almoner_chain::{Depth, Ledger};
use clap::Args;

use crate::failure::{Blame, Failure, Kind};

/// Between two looks at least.
const LEAST_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, Default, Args)]
pub(crate) struct Confirmations {
    /// How deep a block lies before what it holds is believed: a number of blocks, "safe" or "finalized"; if not named
    /// 12, and 0 on chains of development tools.
    #[arg(long, value_name = "DEPTH")]
    confirmations: Option<Depth>,
}

impl Confirmations {
    /// The chain, of which only what is deep enough is there.
    pub(super) fn of(&self, ledger: &Ledger) -> Ledger {
        ledger.at(self.confirmations.unwrap_or(Depth::usual(ledger.deployment().chain_id)))
    }
}

/// Waits until what was asked for stands deep enough, and says so once where it has a name for people.
pub(super) async fn until(
    ledger: &Ledger,
    name: Option<&str>,
    mut stands: impl AsyncFnMut(&Ledger) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let pause = ledger.poll_interval().max(LEAST_PAUSE);
    let mut name = name;
    while !stands(ledger).await? {
        if let Some(name) = name.take() {
            eprintln!("{name} is in a block; waiting until that is deep enough ({})", ledger.depth());
        }
        tokio::time::sleep(pause).await;
    }
    Ok(())
}

/// As [`until`], for what is known to be in this block.
pub(super) async fn until_block(ledger: &Ledger, name: Option<&str>, block: u64) -> Result<(), Failure> {
    until(ledger, name, async |ledger| Ok(ledger.head().await.blame(Kind::Peer, "the chain")? >= block)).await
}
