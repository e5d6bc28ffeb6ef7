//! Between rounds: a federation is created and seated, and a round is announced once its committee is ready.

use std::time::Duration;

use almoner_chain::contracts::Federations;
use almoner_chain::{EpochRecord, FundingRecord, SeatRecord};
use almoner_protocol::round::{Event, Round, Setup};
use almoner_protocol::spec::FederationSpec;
use almoner_protocol::types::{OpenCids, epoch_seed};
use almoner_protocol::{
    Address, B256, Bytes, MIN_COMMITTEE, Stage, build_descriptor, encode_list, encode_model, epoch_of, model_root,
};
use tokio::time::Instant;

use super::{Actor, Current};
use crate::campaign::{Base, Campaign, Committee, MEMBER, Seat};
use crate::chain::At;
use crate::work::{RoundFacts, matrix_root};
use crate::{CoordinatorError, Progress};

impl Actor {
    pub(super) async fn create(&mut self, text: &str, initial: Vec<i32>) -> Result<u64, CoordinatorError> {
        let spec = FederationSpec::parse(text)?;
        match &self.campaign {
            // Said again: the answer may have been lost, or who asked.
            Some(known) if known.spec == spec => return Ok(known.number),
            Some(known) => {
                return Err(CoordinatorError::Conflict(format!(
                    "this coordinator already serves federation {}: another one needs a coordinator of its own, with a key, \
                     a journal and a deployment of its own",
                    known.number
                )));
            }
            None => {}
        }
        let parameters = spec.model.parameters()? as usize;
        let values = if initial.is_empty() { vec![0; parameters] } else { initial };
        let spec_bytes = spec.canonical_bytes()?;
        let spec_cid = self.put(spec_bytes).await?;
        let base = Base {
            parent_ctx: B256::ZERO,
            root: model_root(&values),
            cid: self.put(encode_model(&spec.model, &values)?).await?,
        };
        let deployment = self.chain.ledger.deployment().clone();
        let params = Federations::CreateParams {
            token: deployment.token,
            coordinator: self.key.address(),
            specHash: spec.hash()?,
            specCid: spec_cid.clone(),
            feeBps: spec.rule.fee_bps,
            rule: spec.rule.payment.number(),
            qualityFloor: spec.rule.quality_floor(),
            minAdmitted: spec.rule.min_admitted.unwrap_or(0).max(3),
            challengeWindow: spec.round.challenge_window_s,
            bond: spec.round.pot.0 / 10,
            beaconless: self.config.beaconless,
            acceptLeak: spec.privacy.accept_leak,
            scalarsMax: spec.scalars_max()?,
        };
        let bond = params.bond;
        let number = match self.founded(params.specHash).await? {
            Some(number) => number,
            None => self.found(params).await?,
        };
        let posted = self.chain.bond(number, self.key.address()).await?;
        if let Some(missing) = bond.checked_sub(posted).filter(|missing| *missing > 0) {
            self.chain.post_bond(number, missing).await?;
        }
        self.campaign = Some(Campaign::new(number, spec, spec_cid, base));
        self.save_between_rounds()?;
        self.keep_base().await;
        self.notify(|notice| notice.federation = number);
        Ok(number)
    }

    async fn found(&self, params: Federations::CreateParams) -> Result<u64, CoordinatorError> {
        let receipt = self.chain.create(params).await?;
        let created = receipt.logs.iter().find_map(|log| log.decode::<Federations::FederationCreated>());
        let created = created.ok_or_else(|| CoordinatorError::Bug("create emitted no FederationCreated".into()))?;
        Ok(created.federation)
    }

    /// A federation of ours on these terms in which nothing has happened: a life of this process that was killed before
    /// it could write the number down has founded it.
    async fn founded(&self, spec: B256) -> Result<Option<u64>, CoordinatorError> {
        let ledger = &self.chain.shallow;
        for number in (1..=ledger.federation_count().await?).rev() {
            let Some(record) = ledger.federation(number).await? else { continue };
            let ours = record.params.coordinator == self.key.address() && record.params.specHash == spec;
            if ours && !record.closed && record.members.is_empty() && record.validators.is_empty() {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// Puts in what is missing to `total` of our own, so that whoever is not sure to have been heard may ask again.
    pub(super) async fn fund(&mut self, federation: u64, total: u128) -> Result<(), CoordinatorError> {
        self.campaign_of(federation)?;
        let record = self.chain.shallow.federation(federation).await?;
        let funded = record.map(|record| record.funded).unwrap_or_default();
        match missing(&funded, self.key.address(), federation, total)? {
            0 => Ok(()),
            missing => self.chain.fund(federation, missing).await.map(drop),
        }
    }

    pub(super) async fn put(&self, bytes: Vec<u8>) -> Result<Bytes, CoordinatorError> {
        Ok(Bytes::from(self.store.put(bytes.into()).await?.to_bytes()))
    }

    pub(super) async fn launch(&mut self, federation: u64, rounds: Option<u32>) -> Result<(), CoordinatorError> {
        let rounds = self.campaign_of(federation)?.ordered(rounds)?;
        let running = self.current.is_some() || self.stray.is_some();
        let planned = self.campaign_of(federation)?.to_run > 0;
        if !running && !planned {
            // Before anybody is seated, which is for good.
            if let Some(short) = self.shortage().await? {
                return Err(CoordinatorError::Conflict(format!("launch: {short}")));
            }
        }
        let campaign = self.campaign_of(federation)?;
        if !campaign.seated() {
            campaign.unsent = campaign.seat()?.into();
            self.save_between_rounds()?;
        }
        self.send_seats(federation).await?;
        let campaign = self.campaign_of(federation)?;
        // Not added up: said again, it is the same order.
        campaign.to_run = campaign.to_run.max(rounds);
        self.save_between_rounds()?;
        if !running {
            self.look_for_pot().await;
            self.ask_for_round();
        }
        Ok(())
    }

    /// Relays the consents that are not on chain yet; which of them are, the chain says.
    async fn send_seats(&mut self, federation: u64) -> Result<(), CoordinatorError> {
        if self.campaign_of(federation)?.unsent.is_empty() {
            return Ok(());
        }
        let record = self.chain.shallow.federation(federation).await?;
        let has = |seats: &[SeatRecord], account| seats.iter().any(|seat| seat.account == account);
        while let Some(Seat { consent, class, signature }) = self.campaign_of(federation)?.unsent.front().cloned() {
            let seats = record.as_ref().map(|r| if consent.role == MEMBER { &r.members } else { &r.validators });
            if !seats.is_some_and(|seats| has(seats, consent.account)) {
                self.chain.join(consent, class, signature).await?;
            }
            self.campaign_of(federation)?.unsent.pop_front();
        }
        self.save_between_rounds()
    }

    /// Opens the next round as soon as everybody is ready, or enough are and the others had their time.
    pub(super) async fn maybe_open(&mut self) -> Result<(), CoordinatorError> {
        let now = self.now();
        let wait = self.config.ready_wait;
        let Some(campaign) = &mut self.campaign else { return Ok(()) };
        let waited = campaign.enough_since.is_some_and(|since| Duration::from_secs(now.saturating_sub(since)) >= wait);
        let due = campaign.next_round().is_some() && (campaign.all_ready() || waited);
        if self.current.is_some() || self.stray.is_some() || !due || self.retry_at.is_some_and(|at| Instant::now() < at)
        {
            return Ok(());
        }
        let opened = self.open_round().await;
        if opened.is_err() {
            self.give_up_unopened().await?;
        }
        opened
    }

    /// After a failure: a round that did not come on chain is announced anew, to the same offers. Where the chain cannot
    /// be asked, it may be there, and the order to open it stands.
    pub(super) async fn give_up_unopened(&mut self) -> Result<(), CoordinatorError> {
        self.try_again_soon();
        let Some(current) = self.current.as_ref().filter(|current| current.round.posted(Stage::Ctx).is_none()) else {
            return Ok(());
        };
        let At { federation, round } = current.at();
        if self.chain.shallow.round(federation, round).await?.is_none() {
            self.current = None;
        }
        Ok(())
    }

    async fn open_round(&mut self) -> Result<(), CoordinatorError> {
        self.publish_again().await?;
        let campaign = self.campaign_mut()?;
        let at = At { federation: campaign.number, round: campaign.last_round + 1 };
        let (spec, spec_cid, base) = (campaign.spec.clone(), campaign.spec_cid.clone(), campaign.base.clone());
        let (cumulative, earlier_sets) = (campaign.cumulative.clone(), campaign.earlier_sets.clone());
        let parameters = spec.model.parameters()?;
        let epoch = epoch_of(at.round).ok_or_else(|| CoordinatorError::Invalid("round: too many rounds".into()))?;
        let Epoch { beacon, seed, matrix_root } = self.epoch(at, epoch, parameters).await?;
        let Committee { members, committee, offers, validators } = self.committee(at, beacon).await?;
        self.chain.ready(at.round, &offers).await?;
        self.block_time = self.block_time.max(self.chain.ledger.now().await?);
        let described = almoner_protocol::RoundFacts {
            federation: at.federation,
            round: at.round,
            parent_ctx: base.parent_ctx,
            base_model_root: base.root,
            matrix_root,
            members: &members,
            committee: &committee,
            validators: &validators,
        };
        let descriptor = build_descriptor(&spec, &described, self.now(), 0)?;
        let cids = OpenCids {
            spec: spec_cid,
            base: base.cid.clone(),
            members: self.put(encode_list(&members)).await?,
            committee: self.put(encode_list(&committee)).await?,
            validators: self.put(encode_list(&validators)).await?,
        };
        let drop_bits = descriptor.scale.dropBits;
        let facts = RoundFacts { round: descriptor.round, parameters, epoch_seed: seed, drop_bits };
        let deployment = self.chain.ledger.deployment();
        let round = Round::announce(Setup {
            chain_id: deployment.chain_id,
            rounds: deployment.rounds,
            coordinator: self.key.address(),
            descriptor,
            members,
            committee,
            validators,
            cumulative,
            earlier_sets,
        })?;
        self.current = Some(Current { round, cids, facts, locked: Vec::new() });
        self.save_round()?;
        let _ =
            self.progress.send(Progress::State { round: at.round, state: almoner_protocol::round::State::Announced });
        self.give_orders_again().await?;
        // From here on the round is on chain: what goes wrong is tried again by the round itself.
        let result = self.apply(Event::TimePassed).await;
        self.log_failure("opening", result);
        Ok(())
    }

    /// Who takes part. The epoch was drawn before: its beacon says who of many may serve.
    async fn committee(&mut self, at: At, beacon: B256) -> Result<Committee, CoordinatorError> {
        let sample = self.campaign_mut()?.sample(beacon, at.round);
        // A life of this process that ended here may have sent some: the chain has room for no others.
        let already = match sample {
            Some(_) => self.chain.shallow.readies(at.federation, at.round).await?,
            None => Vec::new(),
        };
        let already = already.iter().map(|ready| ready.member).collect();
        let committee = self.campaign_mut()?.committee(sample.as_ref(), &already);
        if committee.committee.len() < MIN_COMMITTEE {
            return Err(CoordinatorError::NotNow("fewer of those drawn for the committee are ready than it takes"));
        }
        Ok(committee)
    }

    /// The same in all rounds of an epoch: the last one is remembered.
    async fn matrix_root(&mut self, seed: [u8; 32], parameters: u32) -> Result<B256, CoordinatorError> {
        if let Some((_, root)) = self.matrix.filter(|(of, _)| *of == (seed, parameters)) {
            return Ok(root);
        }
        let root = tokio::task::spawn_blocking(move || matrix_root(seed, parameters)).await;
        let root = root.map_err(|error| CoordinatorError::Bug(error.to_string()))?;
        self.matrix = Some(((seed, parameters), root));
        Ok(root)
    }

    /// Draws the epoch and registers its matrix if this is its first round.
    async fn epoch(&mut self, at: At, epoch: u32, parameters: u32) -> Result<Epoch, CoordinatorError> {
        let drawn = match self.chain.shallow.epoch(at.federation, epoch).await? {
            Some(drawn) => drawn,
            None => {
                self.chain.draw_epoch(at.federation, at.round, epoch).await?;
                let drawn = self.chain.shallow.epoch(at.federation, epoch).await?;
                drawn.ok_or_else(|| CoordinatorError::Bug("the drawn epoch is not on chain".into()))?
            }
        };
        // A beacon is the hash of a block: taken back, it would be another one.
        let record = match self.chain.ledger.epoch(at.federation, epoch).await? {
            Some(record) => EpochRecord { matrix_root: drawn.matrix_root, ..record },
            None => return Err(CoordinatorError::NotNow("the epoch's beacon is not deep enough in the chain yet")),
        };
        let deployment = self.chain.ledger.deployment();
        let seed = epoch_seed(deployment.chain_id, deployment.federations, at.federation, epoch, record.beacon);
        let matrix_root = self.matrix_root(seed, parameters).await?;
        match record.matrix_root {
            Some(registered) if registered == matrix_root => {}
            Some(registered) => {
                return Err(CoordinatorError::Bug(format!(
                    "the chain has matrix root {registered}, we compute {matrix_root}"
                )));
            }
            None => {
                self.chain.register_matrix(at.federation, at.round, epoch, matrix_root).await?;
            }
        }
        Ok(Epoch { beacon: record.beacon, seed, matrix_root })
    }
}

/// A hundred rounds that share a matrix.
struct Epoch {
    beacon: B256,
    seed: [u8; 32],
    matrix_root: B256,
}

/// What `ours` has yet to give to have given `total`. What others gave is theirs, and changes no order.
fn missing(funded: &[FundingRecord], ours: Address, federation: u64, total: u128) -> Result<u128, CoordinatorError> {
    let given = FundingRecord::given(funded, ours);
    given.and_then(|given| total.checked_sub(given)).ok_or_else(|| {
        let given = given.map_or_else(|| "more than there can be".into(), |given| given.to_string());
        CoordinatorError::Conflict(format!(
            "fund: federation {federation} was given {given} base units from here already; name what it is to be given \
             in all"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Address = Address::repeat_byte(1);

    fn check(funded: &[(u8, u128)], total: u128) -> Result<u128, String> {
        let record = |(from, amount): &(u8, u128)| FundingRecord {
            from: Address::repeat_byte(*from),
            amount: *amount,
            time: 0,
            block: 0,
            tx: B256::ZERO,
        };
        let funded: Vec<FundingRecord> = funded.iter().map(record).collect();
        missing(&funded, OURS, 1, total).map_err(|error| error.to_string())
    }

    #[test]
    fn what_a_stranger_gives_changes_no_order() {
        assert_eq!(check(&[], 10), Ok(10));
        assert_eq!(check(&[(1, 7), (2, 1)], 10), Ok(3));
        assert_eq!(check(&[(1, 7), (2, 1), (1, 3)], 10), Ok(0), "said again");
        assert_eq!(check(&[(2, u128::MAX), (1, 10), (2, u128::MAX)], 10), Ok(0));
    }

    #[test]
    fn less_than_was_given_is_a_conflict() {
        assert!(check(&[(1, 7), (1, 4)], 10).unwrap_err().contains("was given 11 base units from here"));
        assert!(check(&[(1, u128::MAX), (1, 1)], 10).unwrap_err().contains("more than there can be"));
    }
}
