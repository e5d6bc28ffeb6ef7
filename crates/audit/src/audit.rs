//! The whole way: chain, rounds in order, claims.

use almoner_chain::Ledger;
use almoner_store::Store;

use crate::claims::check_money;
use crate::facts::contradiction;
use crate::history::History;
use crate::progress::Watch;
use crate::round::RoundAudit;
use crate::tally::{Place, Tally, Wrong, ensure};
use crate::{AuditError, ChainFacts, Kind, Report};

/// Audits a federation: reads the chain, then everything it points at.
///
/// A chain that contradicts itself is a finding; only a chain that cannot be read at all is an error.
pub async fn audit(
    ledger: &Ledger,
    store: &dyn Store,
    federation: u64,
    progress: Watch<'_>,
) -> Result<Report, AuditError> {
    match ChainFacts::read(ledger, federation).await {
        Ok(facts) => audit_facts(&facts, store, progress).await,
        Err(error) => match contradiction(&error) {
            Some((round, what)) => Ok(contradicted(federation, round, what)),
            None => Err(error),
        },
    }
}

fn contradicted(federation: u64, round: u64, what: &str) -> Report {
    let mut tally = Tally::default();
    tally.enter(Some(round));
    tally.check::<()>(Kind::Transcript, Place::none(), Err(Wrong::new(what)));
    report(tally, federation, 0, History::default(), 0)
}

/// Audits against facts that were read before.
pub async fn audit_facts(facts: &ChainFacts, store: &dyn Store, progress: Watch<'_>) -> Result<Report, AuditError> {
    let (mut tally, mut history) = (Tally::default(), History::default());
    for (record, expected) in facts.rounds.iter().zip(1..) {
        tally.enter(Some(record.number));
        let in_order = ensure(record.number == expected, || Wrong::new(format!("round {expected} is missing")));
        tally.check(Kind::Transcript, Place::none(), in_order);
        RoundAudit::new(facts, record, store, &mut tally, &mut history).run(progress).await?;
        if let Some(what) = tally.away.take() {
            return Err(AuditError::Source(what));
        }
    }
    tally.enter(None);
    check_money(facts, &history, &mut tally);
    let rounds = facts.rounds.len() as u64;
    let limit = facts.federation.params.scalarsMax;
    Ok(report(tally, facts.federation.number, rounds, history, limit))
}

fn report(tally: Tally, federation: u64, rounds: u64, history: History, limit: u32) -> Report {
    Report {
        federation,
        rounds,
        checks: tally.by_kind.values().map(|count| count.checks).sum(),
        held: tally.by_kind.values().map(|count| count.held).sum(),
        by_kind: tally.by_kind,
        first_wrong: tally.first_wrong,
        first_missing: tally.first_missing,
        opened_scalars: history.opened_scalars,
        scalars_max: limit,
        payments: history.payments,
        notes: tally.notes,
    }
}

#[cfg(test)]
mod tests;
