//! Claims of sites, relayed: a site has no ether. A task of its own, so that no round waits for a payment.
//!
//! A claim is held against the chain's payout root before anything is sent, so that nobody makes us pay for a
//! transaction that pays nobody. Claims that come in while one is being sent go together in the next.

use std::collections::BTreeMap;

use almoner_proto::{ClaimReply, ClaimRequest, RoundNotice};
use almoner_protocol::{Address, U256, verify_claim};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::CoordinatorError;
use crate::chain::Chain;
use crate::ingress::Reply;

/// Claims of one transaction: about 100,000 gas each, of the 2^24 that one may use.
const MAX_BATCH: usize = 64;

const OVERTAKEN: &str = "claim: a round became final in the meantime; ask again";

/// A claim and who waits for it.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) request: ClaimRequest,
    pub(crate) reply: Reply<ClaimReply>,
}

/// Relays claims until told to stop.
pub(crate) async fn run(
    chain: Chain,
    served: watch::Receiver<RoundNotice>,
    mut inbox: mpsc::Receiver<Waiting>,
    stop: CancellationToken,
) {
    let relaying = async {
        let mut waiting = Vec::new();
        while inbox.recv_many(&mut waiting, MAX_BATCH).await > 0 {
            let federation = served.borrow().federation;
            relay(&chain, federation, std::mem::take(&mut waiting)).await;
        }
    };
    stop.run_until_cancelled(relaying).await;
}

/// What one transaction pays, by account: two claims of an account against one root are the same claim.
type Batch = BTreeMap<Address, (ClaimRequest, Vec<Reply<ClaimReply>>)>;

/// Answers every claim. Somebody who no longer waits for the answer is paid all the same.
async fn relay(chain: &Chain, federation: u64, waiting: Vec<Waiting>) {
    let mut batch = Batch::new();
    for Waiting { request, reply } in waiting {
        match check(chain, federation, &request).await {
            Ok(None) => batch.entry(request.account).or_insert_with(|| (request, Vec::new())).1.push(reply),
            Ok(Some(paid)) => drop(reply.send(Ok(paid))),
            Err(error) => drop(reply.send(Err(error))),
        }
    }
    if batch.is_empty() {
        return;
    }
    let (claims, replies): (Vec<ClaimRequest>, Vec<Vec<_>>) = batch.into_values().unzip();
    let sent = chain.claim(federation, &claims).await;
    for reply in replies.into_iter().flatten() {
        let answer = match &sent {
            Ok(receipt) => Ok(ClaimReply { block: receipt.block }),
            // The root was replaced between our look and the transaction: the site looks again too.
            Err(CoordinatorError::Ledger(error)) if error.revert().is_some_and(|revert| revert.is("BadProof")) => {
                Err(CoordinatorError::NotNow(OVERTAKEN))
            }
            Err(error) => Err(CoordinatorError::Relay(error.to_string())),
        };
        drop(reply.send(answer));
    }
}

/// Whether a claim is to be sent: `Some` if it was paid before.
async fn check(chain: &Chain, federation: u64, request: &ClaimRequest) -> Result<Option<ClaimReply>, CoordinatorError> {
    let ClaimRequest { account, cumulative, proof, .. } = request;
    if request.federation != federation || federation == 0 {
        return Err(CoordinatorError::NotFound(format!("claim.federation: {} is not served here", request.federation)));
    }
    let root = chain.shallow.payout_root(federation).await?;
    let proves = |root| verify_claim(root, *account, U256::from(*cumulative), proof);
    if !proves(root) && chain.waits() && proves(chain.ledger.payout_root(federation).await?) {
        // The site does not act on the newest blocks yet.
        return Err(CoordinatorError::NotNow(OVERTAKEN));
    }
    if !proves(root) {
        return Err(CoordinatorError::Invalid(format!(
            "claim.proof: it does not prove {cumulative} for {account} under the payout root {root}"
        )));
    }
    if chain.shallow.claimed_by(federation, *account).await? < U256::from(*cumulative) {
        return Ok(None);
    }
    // Asked after: the payment is in this block at the latest.
    Ok(Some(ClaimReply { block: chain.shallow.head().await? }))
}
