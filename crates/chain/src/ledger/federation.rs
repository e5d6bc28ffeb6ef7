use std::sync::Arc;

use super::{ChainLog, EpochRecord, FederationRecord, FundingRecord, Ledger, PotChange, PotRecord, SeatRecord};
use crate::LedgerError;
use crate::contracts::Federations as F;

const MEMBER: u8 = 0;

impl Ledger {
    /// A federation's terms and people; `None` if it was never created.
    pub async fn federation(&self, number: u64) -> Result<Option<FederationRecord>, LedgerError> {
        let events = self.events().await?;
        let mut record = None;
        for log in self.of_federations(&events) {
            if let Some(created) = log.decode::<F::FederationCreated>().filter(|e| e.federation == number) {
                record = Some(begun(created, log));
            } else if let Some(record) = &mut record {
                extend(record, log);
            }
        }
        Ok(record)
    }

    /// How many federations there are; they count from 1.
    pub async fn federation_count(&self) -> Result<u64, LedgerError> {
        self.view(self.deployment.federations, F::federationCountCall {}).await
    }

    /// The contract's own account of a federation.
    pub async fn federation_state(&self, number: u64) -> Result<F::Federation, LedgerError> {
        self.view(self.deployment.federations, F::federationOfCall { federation: number }).await
    }

    /// An epoch's beacon and matrix root; `None` until it is drawn.
    pub async fn epoch(&self, federation: u64, epoch: u32) -> Result<Option<EpochRecord>, LedgerError> {
        let events = self.events().await?;
        let mut record = None;
        for log in self.of_federations(&events) {
            if let Some(drawn) =
                log.decode::<F::EpochDrawn>().filter(|e| (e.federation, e.epoch) == (federation, epoch))
            {
                record = Some(EpochRecord { epoch, beacon: drawn.beacon, matrix_root: None });
            }
            let registered = log.decode::<F::MatrixRegistered>();
            if let Some(registered) = registered.filter(|e| (e.federation, e.epoch) == (federation, epoch))
                && let Some(record) = &mut record
            {
                record.matrix_root = Some(registered.root);
            }
        }
        Ok(record)
    }

    /// Every move of a federation's pots, in chain order.
    pub async fn pots(&self, federation: u64) -> Result<Vec<PotRecord>, LedgerError> {
        let events = self.events().await?;
        let pots = self.of_federations(&events).filter_map(pot).filter(|(owner, _)| *owner == federation);
        Ok(pots.map(|(_, record)| record).collect())
    }

    fn of_federations<'a>(&self, events: &'a [Arc<ChainLog>]) -> impl Iterator<Item = &'a ChainLog> + use<'a> {
        let address = self.deployment.federations;
        events.iter().map(|log| &**log).filter(move |log| log.address == address)
    }
}

fn begun(created: F::FederationCreated, log: &ChainLog) -> FederationRecord {
    FederationRecord {
        number: created.federation,
        owner: created.owner,
        params: created.params,
        created_at: log.time,
        block: log.block,
        tx: log.tx,
        members: Vec::new(),
        validators: Vec::new(),
        funded: Vec::new(),
        closed: false,
    }
}

fn extend(record: &mut FederationRecord, log: &ChainLog) {
    let number = record.number;
    if let Some(e) = log.decode::<F::Joined>().filter(|e| e.federation == number) {
        // The contract gives every seat a stake of 1 in this version.
        let seat = SeatRecord { account: e.account, entity: e.entity, class: e.class, since: e.since, stake: 1 };
        match e.role {
            MEMBER => record.members.push(seat),
            _ => record.validators.push(seat),
        }
    } else if let Some(e) = log.decode::<F::Funded>().filter(|e| e.federation == number) {
        let (time, block, tx) = (log.time, log.block, log.tx);
        record.funded.push(FundingRecord { from: e.from, amount: e.amount, time, block, tx });
    } else if log.decode::<F::FederationClosed>().is_some_and(|e| e.federation == number) {
        record.closed = true;
    }
}

fn pot(log: &ChainLog) -> Option<(u64, PotRecord)> {
    let record = |round, change| PotRecord { round, change, time: log.time, tx: log.tx };
    if let Some(e) = log.decode::<F::PotReserved>() {
        let change = PotChange::Reserved { from_free: e.fromFree, from_carry: e.fromCarry };
        return Some((e.federation, record(e.round, change)));
    }
    if let Some(e) = log.decode::<F::PotReleased>() {
        let change = PotChange::Released { to_free: e.toFree, to_carry: e.toCarry };
        return Some((e.federation, record(e.round, change)));
    }
    if let Some(e) = log.decode::<F::PotCarried>() {
        return Some((e.federation, record(e.round, PotChange::Carried { amount: e.amount })));
    }
    let e = log.decode::<F::PotPaid>()?;
    Some((e.federation, record(e.round, PotChange::Paid { amount: e.amount, payout_root: e.payoutRoot })))
}
