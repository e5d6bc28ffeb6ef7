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
use crate::failure::{Blame, Failure, Kind};
use crate::tokens::tokens;

#[derive(Debug, Args)]
pub(crate) struct Options {
    federation: u64,
    #[command(flatten)]
    who: Who,
    /// The coordinator that sends the claim; if not named that of --identity, else http://127.0.0.1:8547.
    #[arg(long, value_name = "URL")]
    coordinator: Option<Url>,
    /// A JSON-RPC node of your own, in place of the coordinator's.
    #[arg(long, value_name = "URL")]
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
            (None, Some(file)) => account_of(file),
            (None, None) => Err(Failure::new(Kind::Usage, anyhow::anyhow!("give --account or --key"))),
        }
    }
}

/// What the chain had of the account before and after.
struct Outcome {
    account: Address,
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
    let outcome = match claim.filter(|claim| claim.cumulative > before.claimed) {
        None => Outcome { account, earned, before, after: before, paid: U256::ZERO },
        Some(claim) => send(&options, &coordinator, &tls, &reached, &claim, before).await?,
    };
    if options.json {
        println!("{}", document(options.federation, &outcome));
    } else {
        print(&outcome);
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
) -> Result<Outcome, Failure> {
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
    Ok(Outcome { account: claim.account, earned: claim.cumulative, before, after, paid })
}

fn document(federation: u64, outcome: &Outcome) -> Value {
    let standing = |standing: &Standing| json!({ "claimed": standing.claimed.to_string(), "balance": standing.balance.to_string() });
    json!({
        "schema": 1,
        "federation": federation,
        "account": outcome.account,
        "earned": outcome.earned.to_string(),
        "before": standing(&outcome.before),
        "after": standing(&outcome.after),
        "paid": outcome.paid.to_string(),
    })
}

fn print(outcome: &Outcome) {
    let Outcome { account, earned, before, after, paid } = outcome;
    println!("{account} has earned {} tokens in all", tokens(*earned));
    println!("          {:>16} {:>16}", "claimed", "balance");
    for (when, standing) in [("before", before), ("after", after)] {
        println!("  {when:<7} {:>16} {:>16}", tokens(standing.claimed), tokens(standing.balance));
    }
    match paid.is_zero() {
        true => println!("nothing was due"),
        false => println!("paid {}", tokens(*paid)),
    }
}
