//! `almoner audit`: recomputes a run from its chain and content store alone.

mod payments;

use std::collections::BTreeMap;

use almoner_audit::{AuditError, Count, Finding, Kind as Checked, Progress, Report, Verdict, audit};
use almoner_chain::contracts::Federations;
use almoner_chain::{Deployment, Ledger};
use almoner_protocol::{Address, FederationId, Stage};
use almoner_store::{GatewayStore, Url};
use almoner_tls::Client as Tls;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::channel::Trust;
use super::depth::Confirmations;
use super::source::{fetch_deployment, join, web};
use crate::failure::{Blame, Failure, Kind};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A coordinator, or `almoner serve`: it says where the contracts are, and serves chain and store. If not named that
    /// of --identity.
    #[arg(value_name = "URL", conflicts_with = "gateways", required_unless_present_any = ["rpc", "identity"], value_parser = web)]
    url: Option<Url>,
    /// A JSON-RPC node of the chain; with a URL, in place of the chain served there.
    #[arg(long, value_name = "URL", value_parser = web)]
    rpc: Option<Url>,
    /// An IPFS gateway with the artefacts, by its base URL: /ipfs/CID is appended. May be repeated.
    #[arg(long = "gateway", value_name = "URL", requires = "rpc", value_parser = web)]
    gateways: Vec<Url>,
    /// Which federation; without it every one that the address serves.
    #[arg(long, value_name = "CHAIN:ADDRESS:N")]
    federation: Option<FederationId>,
    /// No event of the contracts is older than this block.
    #[arg(long, value_name = "BLOCK", requires = "rpc")]
    from_block: Option<u64>,
    #[command(flatten)]
    tls: Trust,
    #[command(flatten)]
    depth: Confirmations,
    /// Show who was paid what in each final round, by settlements that were recomputed.
    #[arg(long)]
    payments: bool,
    /// Print one JSON document on stdout and nothing else.
    #[arg(long)]
    json: bool,
    /// Print the verdict only.
    #[arg(long, conflicts_with = "payments")]
    quiet: bool,
}

/// One federation and what was found.
struct Audited {
    name: FederationId,
    report: Report,
}

pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let tls = options.tls.client()?;
    let (ledger, gateways) = source(&options, &tls).await?;
    let ledger = options.depth.of(&ledger);
    let store = GatewayStore::trusting(gateways, &tls).blame(Kind::You, "--gateway")?;
    let numbers = federations(&options, &ledger).await?;
    let mut all = Vec::new();
    for number in numbers {
        let bar = progress_bar(options.quiet || options.json);
        let mut show = |progress: Progress| show_progress(&bar, progress);
        let report = audit(&ledger, &store, number, &mut show).await.map_err(failure)?;
        bar.finish_and_clear();
        let (chain_id, federations) = (ledger.deployment().chain_id, ledger.deployment().federations);
        all.push(Audited { name: FederationId { chain_id, federations, number }, report });
    }
    if options.json {
        println!("{}", serde_json::to_string(&document(&all, options.payments))?);
    } else {
        all.iter().for_each(|audited| print(audited, &options));
    }
    match (first_wrong(&all), first_missing(&all)) {
        (Some(finding), _) => {
            Err(Failure::new(Kind::Found, anyhow::anyhow!("the audit found something wrong: {finding}")))
        }
        (None, Some(finding)) => Err(Failure::peer(format!("the audit is incomplete: {finding}; {ELSEWHERE}"))),
        (None, None) => Ok(()),
    }
}

/// What to do about something that is not to be had.
const ELSEWHERE: &str = "ask the coordinator for it, or whoever keeps a copy: --rpc NODE --federation \
                         CHAIN:ADDRESS:N --gateway URL (the base URL, without /ipfs; repeated for more)";

fn failure(error: AuditError) -> Failure {
    let kind = match &error {
        AuditError::NoFederation(_) => Kind::You,
        AuditError::Ledger(_) | AuditError::Moving | AuditError::Source(_) => Kind::Peer,
        AuditError::Task => Kind::Us,
    };
    Failure::new(kind, error)
}

// ---- where to read ----

/// The chain, and gateways to the artefacts.
async fn source(options: &Options, tls: &Tls) -> Result<(Ledger, Vec<Url>), Failure> {
    // With gateways of one's own nobody else is asked.
    let url = match (&options.url, options.gateways.is_empty()) {
        (None, true) => options.tls.own_coordinator()?,
        (named, _) => named.clone(),
    };
    match (&url, &options.rpc, options.federation) {
        (Some(url), rpc, _) => {
            let deployment = fetch_deployment(url, tls).await?;
            let rpc = rpc.clone().unwrap_or_else(|| join(url, "rpc"));
            let ledger = Ledger::trusting(rpc.as_str(), deployment, tls).blame(Kind::You, format!("{rpc}"))?;
            let elsewhere = format!("{rpc}: a run that settled on a node of somebody's own is audited with --rpc URL");
            ledger.now().await.blame(Kind::Peer, elsewhere)?;
            Ok((ledger, vec![url.clone()]))
        }
        (None, Some(rpc), Some(federation)) if !options.gateways.is_empty() => {
            let deployment = find_deployment(rpc, federation, options.from_block.unwrap_or(0), tls).await?;
            let ledger = Ledger::trusting(rpc.as_str(), deployment, tls).blame(Kind::You, format!("--rpc {rpc}"))?;
            Ok((ledger, options.gateways.clone()))
        }
        _ => {
            let text = "give the URL of a coordinator, or --identity, or --rpc, --gateway and --federation";
            Err(Failure::new(Kind::Usage, anyhow::anyhow!(text)))
        }
    }
}

/// Completes a deployment from the address of `Federations`, which knows the others. The audit then checks their code.
async fn find_deployment(
    rpc: &Url,
    federation: FederationId,
    from_block: u64,
    tls: &Tls,
) -> Result<Deployment, Failure> {
    let FederationId { chain_id, federations, number } = federation;
    let zero = Address::ZERO;
    let partial = Deployment { chain_id, federations, rounds: zero, payouts: zero, token: zero, from_block };
    let ledger = Ledger::trusting(rpc.as_str(), partial.clone(), tls).blame(Kind::You, format!("--rpc {rpc}"))?;
    let context = format!("--rpc {rpc}: is the node up, and is {federations} its Federations contract?");
    let rounds = ledger.view(federations, Federations::roundsCall {}).await.blame(Kind::Peer, context.clone())?;
    let payouts = ledger.view(federations, Federations::payoutsCall {}).await.blame(Kind::Peer, context)?;
    let token = ledger.view(federations, Federations::tokenOfCall { federation: number }).await;
    let token = token.blame(Kind::You, format!("--federation {federation}: there is no such federation"))?;
    Ok(Deployment { rounds, payouts, token, ..partial })
}

/// The federations to audit, checked against the deployment where one is named.
async fn federations(options: &Options, ledger: &Ledger) -> Result<Vec<u64>, Failure> {
    let at = ledger.deployment();
    if let Some(named) = options.federation {
        if (named.chain_id, named.federations) != (at.chain_id, at.federations) {
            let there = format!("{}:{}", at.chain_id, at.federations);
            return Err(Failure::you(format!("--federation {named}: this address serves federations of {there}")));
        }
        return Ok(vec![named.number]);
    }
    let count = ledger.federation_count().await.blame(Kind::Peer, "the chain cannot be read")?;
    match count {
        0 => Err(Failure::you("there is no federation on this chain yet")),
        count => Ok((1..=count).collect()),
    }
}

// ---- what is shown ----

fn progress_bar(hidden: bool) -> ProgressBar {
    if hidden {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    // The template is a constant; without it the bar is merely plainer.
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg:30}") {
        bar.set_style(style);
    }
    bar
}

fn show_progress(bar: &ProgressBar, progress: Progress) {
    let stages = Stage::ALL.len() as u64;
    bar.set_length(progress.rounds * stages);
    bar.set_position((progress.round.saturating_sub(1)) * stages + u64::from(progress.stage.number()));
    bar.set_message(format!("round {}, {}", progress.round, progress.stage));
}

fn first_wrong(all: &[Audited]) -> Option<&Finding> {
    all.iter().find_map(|audited| audited.report.first_wrong.as_ref())
}

fn first_missing(all: &[Audited]) -> Option<&Finding> {
    all.iter().find_map(|audited| audited.report.first_missing.as_ref())
}

fn print(audited: &Audited, options: &Options) {
    let Audited { name, report } = audited;
    if !options.quiet {
        println!("federation {name}, {} rounds", report.rounds);
        println!("  {:<20} {:>8} {:>8}", "kind", "checks", "held");
        for (kind, count) in &report.by_kind {
            let mark = if count.held < count.checks { "  <-" } else { "" };
            println!("  {:<20} {:>8} {:>8}{mark}", kind.word(), count.checks, count.held);
        }
        println!("  {:<20} {:>8} {:>8}", "all", report.checks, report.held);
        let opened = report.opened_scalars.values().max().copied().unwrap_or(0);
        println!("scalars opened per site: {opened} of at most {}", report.scalars_max);
        report.notes.iter().for_each(|note| println!("note: {note}"));
    }
    if options.payments && report.rounds > 0 {
        payments::table(report).iter().for_each(|line| println!("{line}"));
    }
    println!("verdict: {}", verdict(report));
}

fn verdict(report: &Report) -> String {
    match (&report.first_wrong, &report.first_missing) {
        (Some(finding), _) => format!("WRONG. First in the chain's order: {finding}"),
        (None, Some(finding)) => format!(
            "INCOMPLETE. {} of {} checks hold and none contradicts, but not everything could be looked at. First in the \
             chain's order: {finding}",
            report.held, report.checks
        ),
        (None, None) if report.rounds == 0 => "0 rounds: nothing to audit yet".to_owned(),
        (None, None) => format!("all {} checks hold", report.checks),
    }
}

/// The counts of all federations together; `federation` names the only one, `federations` each of several.
fn document(all: &[Audited], with_payments: bool) -> Value {
    let mut by_kind: BTreeMap<Checked, Count> = BTreeMap::new();
    for (kind, count) in all.iter().flat_map(|audited| &audited.report.by_kind) {
        let sum = by_kind.entry(*kind).or_default();
        sum.checks += count.checks;
        sum.held += count.held;
    }
    let sum = |part: fn(&Report) -> u64| all.iter().map(|audited| part(&audited.report)).sum::<u64>();
    let name = match all {
        [only] => json!(only.name.to_string()),
        _ => Value::Null,
    };
    let each = |audited: &Audited| {
        let report = &audited.report;
        let mut each = json!({
            "federation_id": audited.name.to_string(),
            "rounds": report.rounds,
            "checks": report.checks,
            "held": report.held,
            "opened_scalars": report.opened_scalars,
            "scalars_max": report.scalars_max,
            "notes": report.notes,
            "verdict": report.verdict(),
            "first_wrong": report.first_wrong,
            "first_missing": report.first_missing,
        });
        if with_payments {
            each["payments"] = payments::document(report).into();
        }
        each
    };
    json!({
        "schema": 1,
        "federation_id": name,
        "rounds": sum(|report| report.rounds),
        "audit": {
            "checks": sum(|report| report.checks),
            "held": sum(|report| report.held),
            "by_kind": by_kind,
        },
        "verdict": all.iter().map(|audited| audited.report.verdict()).max().unwrap_or(Verdict::Sound),
        "first_wrong": first_wrong(all),
        "first_missing": first_missing(all),
        "federations": all.iter().map(each).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn report(number: u64, first_wrong: Option<Finding>, first_missing: Option<Finding>) -> Report {
        let failed = first_wrong.is_some() || first_missing.is_some();
        let count = Count { checks: 3, held: 3 - u64::from(failed) };
        Report {
            federation: number,
            rounds: 2,
            checks: count.checks,
            held: count.held,
            by_kind: BTreeMap::from([(Checked::Sum, count)]),
            first_wrong,
            first_missing,
            opened_scalars: BTreeMap::from([(Address::repeat_byte(1), 6)]),
            scalars_max: 24,
            payments: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn audited(report: Report) -> Audited {
        Audited { name: FederationId { chain_id: 1, federations: Address::ZERO, number: report.federation }, report }
    }

    fn finding(round: u64) -> Option<Finding> {
        let text = "word 3".to_owned();
        Some(Finding { kind: Checked::Sum, round: Some(round), cid: None, account: None, text })
    }

    #[test]
    fn the_verdict_is_the_worst_there_is() {
        let check = |reports: Vec<Report>, verdict: &str| {
            let all: Vec<Audited> = reports.into_iter().map(audited).collect();
            assert_eq!(document(&all, false)["verdict"], verdict);
        };
        check(vec![report(1, None, None)], "sound");
        check(vec![report(1, None, None), report(2, None, finding(2))], "incomplete");
        check(vec![report(1, finding(5), finding(1)), report(2, None, None)], "wrong");
        let said = document(&[audited(report(1, finding(5), finding(1)))], false);
        assert_eq!((&said["first_wrong"]["round"], &said["first_missing"]["round"]), (&json!(5), &json!(1)));
    }

    #[test]
    fn a_verdict_in_words_names_what_is_wrong_or_missing() {
        assert!(verdict(&report(1, finding(5), finding(1))).starts_with("WRONG. First in the chain's order: round 5"));
        let incomplete = verdict(&report(1, None, finding(1)));
        assert!(incomplete.starts_with("INCOMPLETE. 2 of 3 checks hold"), "{incomplete}");
        assert!(incomplete.contains("round 1, sum: word 3"), "{incomplete}");
        let none = Report { rounds: 0, ..report(1, None, None) };
        assert_eq!(verdict(&none), "0 rounds: nothing to audit yet");
    }

    #[test]
    fn payments_are_in_the_document_of_whoever_asks() {
        let all = [audited(report(1, None, None))];
        assert_eq!(document(&all, false)["federations"][0]["payments"], Value::Null);
        assert_eq!(document(&all, true)["federations"][0]["payments"], json!([]));
    }

    #[test]
    fn the_document_has_counts_and_the_first_finding() {
        let document = document(&[audited(report(1, None, None)), audited(report(2, finding(2), None))], false);
        assert_eq!(document["schema"], 1);
        assert_eq!(document["federation_id"], Value::Null);
        assert_eq!(document["audit"]["by_kind"]["sum"], json!({ "checks": 6, "held": 5 }));
        assert_eq!(document["first_wrong"]["kind"], "sum");
        assert_eq!(document["first_wrong"]["round"], 2);
        let sound = super::document(&[audited(report(1, None, None))], false);
        assert_eq!(sound["first_wrong"], Value::Null);
        assert!(sound["federation_id"].as_str().is_some_and(|name| name.ends_with(":1")));
    }

    #[test]
    fn paths_are_appended_to_what_the_address_has() {
        let url = |text: &str| join(&text.parse().unwrap(), "rpc").to_string();
        assert_eq!(url("http://127.0.0.1:1"), "http://127.0.0.1:1/rpc");
        assert_eq!(url("http://example.org/runs/3/"), "http://example.org/runs/3/rpc");
    }
}
