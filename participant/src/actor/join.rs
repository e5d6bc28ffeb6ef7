//! Between rounds: consenting to join, and offering to serve on the next committee.

use std::sync::Arc;

use almoner_chain::{FederationRecord, RoundRecord, RoundStatus};
use almoner_crypto::seal::MemberKey;
use almoner_model::Dataset;
use almoner_proto::{ErrorKind, JoinRequest, Kinded, ReadyRequest, RoundNotice, timely, wire};
use almoner_protocol::types::{Join, Ready};

use super::{Site, SiteProgress};
use crate::fetch::spec;
use crate::{SiteError, entity_id};

/// Roles of a seat.
const MEMBER: u8 = 0;
const VALIDATOR: u8 = 1;

impl Site {
    /// Asks for the seats that this site should have and does not have.
    pub(super) async fn join(&mut self, federation: &FederationRecord) -> Result<(), SiteError> {
        let account = self.from.identity.account();
        let wanted = [
            (MEMBER, self.training.clone(), &federation.members),
            (VALIDATOR, self.evaluation.clone(), &federation.validators),
        ];
        for (role, data, seats) in wanted {
            let Some(data) = data else { continue };
            if self.asked.contains(&role) || seats.iter().any(|seat| seat.account == account) {
                continue;
            }
            match self.consent(federation, role, &data).await {
                Err(error) if matches!(error.kind(), ErrorKind::NotNow(_) | ErrorKind::Internal) => return Err(error),
                Err(error) if error.kind() == ErrorKind::Conflict && self.may_be_seated(role).await? => {
                    return Err(error);
                }
                Err(error) => {
                    let error = Arc::new(error);
                    tracing::error!(role, %error, "this site does not join");
                    self.tell(SiteProgress::Refused { round: 0, duty: None, error: error.clone() });
                    self.outside = Some(error);
                }
                Ok(()) => self.tell(SiteProgress::Joined { role }),
            }
            self.asked.insert(role);
        }
        Ok(())
    }

    /// Seats are fixed before they are on chain, one after another: until a round is opened, ours may be among them.
    async fn may_be_seated(&self, role: u8) -> Result<bool, SiteError> {
        let (ledger, number) = (&self.from.ledger, self.config.federation);
        if ledger.rounds(number).await?.is_empty() {
            return Ok(true);
        }
        let Some(federation) = ledger.federation(number).await? else { return Ok(true) };
        let account = self.from.identity.account();
        let seats = if role == MEMBER { &federation.members } else { &federation.validators };
        Ok(seats.iter().any(|seat| seat.account == account))
    }

    /// Consents, after reading what to.
    async fn consent(&mut self, federation: &FederationRecord, role: u8, data: &Dataset) -> Result<(), SiteError> {
        let params = &federation.params;
        let spec = spec(self.from.store.as_ref(), &params.specCid, params.specHash).await?;
        if spec.privacy.accept_leak && !self.config.policy.accept_leak {
            let text = "the federation opens more scalars than the leak caps allow; set policy.accept_leak to join";
            return Err(SiteError::Policy(text.into()));
        }
        if data.features() != spec.data.features as usize {
            let (have, want) = (data.features(), spec.data.features);
            return Err(SiteError::Config(format!("data: {have} features, the federation's model takes {want}")));
        }
        let rows = u32::try_from(data.rows()).map_err(|_| SiteError::Config("data: more than 2^32 rows".into()))?;
        let join = self.from.identity.sign_join(Join {
            federation: federation.number,
            account: self.from.identity.account(),
            entity: entity_id(&self.config.entity),
            role,
        })?;
        self.client.join(timely::<wire::JoinRequest>(JoinRequest { join, rows })).await?;
        Ok(())
    }

    /// Offers to serve on the committee of the round that is asked for, with a key of its own for it.
    pub(super) async fn offer(
        &mut self,
        notice: &RoundNotice,
        federation: &FederationRecord,
        rounds: &[RoundRecord],
    ) -> Result<(), SiteError> {
        let next = notice.next_round;
        let follows = rounds.last().map_or(0, |round| round.number) + 1;
        let running = rounds.last().is_some_and(|round| round.status == RoundStatus::Running);
        let account = self.from.identity.account();
        let seated = federation.members.iter().any(|seat| seat.account == account && seat.since <= next);
        // The number comes from a notice: only the one the chain leaves open gets a key.
        if next != follows || running || !seated || self.offered == next || self.training.is_none() {
            return Ok(());
        }
        let entropy = self.entropy.clone();
        let draw = move || entropy.draw("member-key", &next.to_be_bytes());
        let seed = self.from.memory.member_key(next, draw).await?;
        let key = MemberKey::from_seed(&seed).public();
        let ready = self.from.identity.sign(Ready {
            federation: federation.number,
            round: next,
            member: account,
            keyHash: alloy_primitives::keccak256(key),
        })?;
        let request = ReadyRequest { ready, key: key.to_vec().into() };
        self.client.announce_ready(timely::<wire::ReadyRequest>(request)).await?;
        self.offered = next;
        self.tell(SiteProgress::Ready { round: next });
        Ok(())
    }
}
