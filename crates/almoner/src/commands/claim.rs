//! `almoner federation claim`: has an account paid what it is due. The contract pays the account in the leaf and nobody
//! else, whoever asks, so this needs no key: the coordinator sends the transaction, and the chain shows what came of it.

use std::path::PathBuf;

use almoner_participant::{Claim, Standing, claim_of};
use almoner_proto::{ClaimReply, sites_client, wire};
use almoner_protocol::{Address, MAX_PARAMETERS, U256};
use almoner_store::Url;
use almoner_tls::Client as Tls;
use clap::Args;
use serde_json::{Value, json};

use super::channel::{TlsOptions, dial, refused};
use super::depth::{Awaited, Confirmations, until_block};
use super::reach::Reached;
use super::renew;
use super::vault::account_of;
use crate::commands::files::{is_absent, no_such_file};
use crate::commands::source::web;
use crate::failure::{Blame, Failure, Kind};
use crate::tokens::tokens;

#[derive(Debug, Args)]
pub(crate) struct Options {
    federation: u64,
    #[command(flatten)]
    who: Who,
    /// The coordinator that sends the claim; if not named that of --identity, else http://127.0.0.1:8547.
    #[arg(long, value_name = "URL", value_parser = web)]
    coordinator: Option<Url>,
    /// A JSON-RPC node of your own, in place of the coordinator's.
    #[arg(long, value_name = "URL", value_parser = web)]
    rpc: Option<Url>,
    #[command(flatten)]
    tls: TlsOptions,
    #[command(flatten)]
    depth: Confirmations,
    /// Print one JSON document on stdout and nothing else.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Who {
    /// The account that is to be paid.
    #[arg(long)]
    account: Option<Address>,
    /// Its key file or vault; nothing is signed, only the account is taken from it.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

impl Who {
    fn account(&self) -> Result<Address, Failure> {
        match (&self.account, &self.key) {
            (Some(account), _) => Ok(*account),
            // A new key would be another account.
            (None, Some(file)) if is_absent(file) => Err(Failure::you(format!("--key {}", no_such_file(file)))),
            (None, Some(file)) => account_of(file),
            (None, None) => Err(Failure::new(Kind::Usage, anyhow::anyhow!("give --account or --key"))),
        }
    }
}

/// What the chain had of the account before and after.
struct Outcome {
    account: Address,
    /// Whether it is a member or a validator. Without a seat the coordinator alone earns.
    seated: bool,
    earned: U256,
    before: Standing,
    after: Standing,
    paid: U256,
}

pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let account = options.who.account()?;
    let rpc = options.rpc.as_ref().map(Url::as_str);
    let coordinator = options.tls.trust().coordinator(options.coordinator.as_ref())?;
    let tls = options.tls.client().await?;
    let reached =
        Reached::at(&tls, &coordinator, rpc, &[], options.federation, |ledger| options.depth.of(ledger)).await?;
    let claim = claim_of(&reached.ledger, reached.store.as_ref(), options.federation, account, &reached.rounds).await;
    let claim = claim.blame(Kind::Peer, "the payout list")?;
    let before = Standing::before(&reached.ledger, options.federation, account).await;
    let before = before.blame(Kind::Peer, "the chain")?;
    let earned = claim.as_ref().map_or(U256::ZERO, |claim| claim.cumulative);
    let (members, validators) = (&reached.record.members, &reached.record.validators);
    let seated = members.iter().chain(validators).any(|seat| seat.account == account);
    let (after, paid) = match claim.filter(|claim| claim.cumulative > before.claimed) {
        None => (before, U256::ZERO),
        Some(claim) => send(&options, &coordinator, &tls, &reached, &claim, before).await?,
    };
    let outcome = Outcome { account, seated, earned, before, after, paid };
    if options.json {
        println!("{}", document(options.federation, &outcome));
    } else {
        print(options.federation, &outcome);
    }
    Ok(())
}

async fn send(
    options: &Options,
    coordinator: &Url,
    tls: &Tls,
    reached: &Reached,
    claim: &Claim,
    before: Standing,
) -> Result<(Standing, U256), Failure> {
    let context = format!("--coordinator {coordinator}");
    let channel = dial(tls, coordinator.as_str(), context).await?;
    if options.tls.is_identity() {
        renew::once(tls, channel.clone()).await;
    }
    let mut client = sites_client(channel, MAX_PARAMETERS);
    let request = claim.request(options.federation)?;
    let reply = client
        .claim(wire::ClaimRequest::from(request))
        .await
        .map_err(|status| refused(tls, coordinator.as_str(), status))?;
    let ClaimReply { block } = reply.into_inner().into();
    until_block(&reached.ledger, Awaited { what: "the claim", json: options.json }, block).await?;
    let head = reached.ledger.head().await.blame(Kind::Peer, "the chain")?;
    let after = Standing::after(&reached.ledger, options.federation, claim.account).await;
    let after = after.blame(Kind::Peer, "the chain")?;
    let paid = claim.paid(before, after, head, block).map_err(|error| Failure::new(Kind::Peer, error))?;
    Ok((after, paid))
}

fn document(federation: u64, outcome: &Outcome) -> Value {
    let standing = |standing: &Standing| json!({ "claimed": standing.claimed.to_string(), "balance": standing.balance.to_string() });
    json!({
        "schema": 1,
        "federation": federation,
        "account": outcome.account,
        "seated": outcome.seated,
        "earned": outcome.earned.to_string(),
        "before": standing(&outcome.before),
        "after": standing(&outcome.after),
        "paid": outcome.paid.to_string(),
    })
}

fn print(federation: u64, outcome: &Outcome) {
    let Outcome { account, seated, earned, before, after, paid } = outcome;
    println!("{account} has earned {} tokens in all", tokens(*earned));
    println!("          {:>16} {:>16}", "claimed", "balance");
    for (when, standing) in [("before", before), ("after", after)] {
        println!("  {when:<7} {:>16} {:>16}", tokens(standing.claimed), tokens(standing.balance));
    }
    println!("{}", verdict(federation, *seated, *earned, *paid));
}

/// Somebody else's number, or another federation's, is a likely mistake where nothing was earned.
fn verdict(federation: u64, seated: bool, earned: U256, paid: U256) -> String {
    match (paid.is_zero(), seated || !earned.is_zero()) {
        (false, _) => format!("paid {}", tokens(paid)),
        (true, true) => "nothing was due".into(),
        (true, false) => format!("nothing was due: this account holds no seat in federation {federation}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_without_a_seat_is_told_so() {
        let (none, some) = (U256::ZERO, U256::from(7));
        assert_eq!(verdict(3, false, none, none), "nothing was due: this account holds no seat in federation 3");
        assert_eq!(verdict(3, true, none, none), "nothing was due");
        // The coordinator holds no seat, and earns.
        assert_eq!(verdict(3, false, some, none), "nothing was due");
        assert!(verdict(3, true, some, some).starts_with("paid "));
    }
}
