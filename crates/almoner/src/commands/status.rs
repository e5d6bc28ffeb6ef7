//! `almoner federation status`: where a federation stands, by the chain alone.

use almoner_chain::{FederationRecord, Ledger, RoundRecord, RoundStatus};
use almoner_protocol::{Role, Stage, U256};
use almoner_store::Url;
use clap::Args;
use serde_json::{Value, json};

use super::channel::Trust;
use super::depth::Confirmations;
use super::source::{fetch_deployment, join, web};
use crate::failure::{Blame, Failure, Kind};
use crate::tokens::tokens;

/// What people should know before they wait for the window.
const WINDOW: &str =
    "the challenge window delays claims; in this version nothing can strike a settlement down in it, see almoner audit";

#[derive(Debug, Args)]
pub(crate) struct Options {
    federation: u64,
    /// The coordinator: it says where the contracts are. If not named that of --identity, else http://127.0.0.1:8547.
    #[arg(long, value_name = "URL", value_parser = web)]
    coordinator: Option<Url>,
    /// A JSON-RPC node of your own, in place of the coordinator's.
    #[arg(long, value_name = "URL", value_parser = web)]
    rpc: Option<Url>,
    #[command(flatten)]
    tls: Trust,
    #[command(flatten)]
    depth: Confirmations,
    /// Print one JSON document on stdout and nothing else.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let tls = options.tls.client()?;
    let coordinator = options.tls.coordinator(options.coordinator.as_ref())?;
    let deployment = fetch_deployment(&coordinator, &tls).await?;
    let rpc = options.rpc.clone().unwrap_or_else(|| join(&coordinator, "rpc"));
    let context = rpc.to_string();
    let ledger = Ledger::trusting(rpc.as_str(), deployment, &tls).blame(Kind::You, context.clone())?;
    let ledger = options.depth.of(&ledger);
    let read = async {
        let record = ledger.federation(options.federation).await?;
        let rounds = ledger.rounds(options.federation).await?;
        let claims = ledger.claims(options.federation).await?;
        Ok::<_, almoner_chain::LedgerError>((record, rounds, claims))
    };
    let (record, rounds, claims) = read.await.blame(Kind::Peer, context)?;
    let Some(record) = record else {
        return Err(Failure::you(format!(
            "federation {}: there is no such federation, or not deep enough in the chain",
            options.federation
        )));
    };
    let claimed: u128 = claims.iter().map(|claim| claim.paid).sum();
    if options.json {
        println!("{}", document(&record, &rounds, claimed));
    } else {
        print(&record, &rounds, claimed);
    }
    Ok(())
}

fn sums(record: &FederationRecord, rounds: &[RoundRecord]) -> (u128, u128) {
    let funded = record.funded.iter().map(|funding| funding.amount).fold(0, u128::saturating_add);
    (funded, rounds.iter().filter_map(|round| round.paid).sum())
}

/// A status in a word.
pub(super) fn state(status: RoundStatus) -> &'static str {
    match status {
        RoundStatus::Running => "running",
        RoundStatus::Proposed => "proposed",
        RoundStatus::Final => "final",
        RoundStatus::Void => "void",
        RoundStatus::Expired => "expired",
    }
}

/// What a seat is for, in a word.
pub(super) fn seat(role: u8) -> &'static str {
    if role == Role::Validator as u8 { "validator" } else { "member" }
}

/// The last stage that is on chain.
fn stage(round: &RoundRecord) -> String {
    round.stages.last_key_value().map_or(Stage::Ctx, |(stage, _)| *stage).to_string()
}

fn document(record: &FederationRecord, rounds: &[RoundRecord], claimed: u128) -> Value {
    let (funded, paid) = sums(record, rounds);
    let of = |round: &RoundRecord| {
        json!({
            "round": round.number,
            "status": state(round.status),
            "stage": stage(round),
            "model_root": round.stages.get(&Stage::Model).map(|stage| stage.root),
            "settle_root": round.stages.get(&Stage::Settle).map(|stage| stage.root),
            "admitted": round.admitted.as_ref().map(|admitted| admitted.count),
            "paid": round.paid.map(|paid| paid.to_string()),
            "window_ends_at": round.proposal.as_ref().map(|proposal| proposal.ends_at),
        })
    };
    json!({
        "schema": 1,
        "federation": record.number,
        "members": record.members.len(),
        "validators": record.validators.len(),
        "closed": record.closed,
        "funded": funded.to_string(),
        "paid": paid.to_string(),
        "claimed": claimed.to_string(),
        "challenge_window_s": record.params.challengeWindow,
        "can_be_struck_down": false,
        "rounds": rounds.iter().map(of).collect::<Vec<_>>(),
    })
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn print(record: &FederationRecord, rounds: &[RoundRecord], claimed: u128) {
    let (funded, paid) = sums(record, rounds);
    let closed = if record.closed { ", closed" } else { "" };
    let members = counted(record.members.len(), "member");
    let validators = counted(record.validators.len(), "validator");
    println!("federation {}: {members}, {validators}{closed}", record.number);
    let [funded, paid, claimed] = [funded, paid, claimed].map(|amount| tokens(U256::from(amount)));
    println!("  funded {funded}, paid by rounds {paid}, claimed {claimed} tokens");
    for round in rounds {
        let admitted = round.admitted.as_ref().map(|a| format!(", {} admitted", a.count)).unwrap_or_default();
        let paid = round.paid.map(|paid| format!(", paid {}", tokens(U256::from(paid)))).unwrap_or_default();
        let ends = round.proposal.as_ref().filter(|_| round.status == RoundStatus::Proposed);
        let ends = ends.map(|proposal| format!(", window until {}", proposal.ends_at)).unwrap_or_default();
        println!(
            "  round {}: {}, after stage {}{admitted}{paid}{ends}",
            round.number,
            state(round.status),
            stage(round)
        );
    }
    println!("{WINDOW}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        let said = [0, 1, 2].map(|number| counted(number, "validator"));
        assert_eq!(said, ["0 validators", "1 validator", "2 validators"]);
    }
}
