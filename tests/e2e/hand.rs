//! A site moved by hand: the production functions one at a time, so that a test may leave one out, or change what
//! passes from one to the next.

use almoner::localnet::{Holder, Seeds};
use almoner_chain::{Ledger, RoundRecord, SigningKey};
use almoner_crypto::seal::MemberKey;
use almoner_journal::Journal;
use almoner_model::{ComputeDevice, Dataset};
use almoner_participant::committee::{judged, recompute_admission, revealed};
use almoner_participant::contribute::{Attempt, Contributed, build_contribution, train_update, upload};
use almoner_participant::fetch::{Sources, Terms, terms};
use almoner_participant::{Entropy, Identity, Memory, PolicyConfig, SeededEntropy, SiteError, entity_id};
use almoner_proto::wire::sites_client::SitesClient;
use almoner_proto::{
    ErrorKind, JoinRequest, ReadyRequest, RoundNotice, UploadHeader, WatchRequest, WireError, endpoint, kind_of,
    sites_client, wire,
};
use almoner_protocol::types::{Join, Ready};
use almoner_protocol::{Address, Admitted, B256, MAX_PARAMETERS, Stage, Update};
use almoner_store::GatewayStore;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::sync::Arc;
use tokio_stream::StreamExt;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

use crate::federation::Federation;

/// What a site does with its rows, as the wire numbers it.
#[derive(Clone, Copy)]
pub(crate) enum Role {
    Hospital = 0,
    Validator = 1,
}

impl Role {
    fn label(self) -> &'static str {
        match self {
            Self::Hospital => "hospital",
            Self::Validator => "validator",
        }
    }

    /// The key that the agent with this index has, or would have.
    pub(crate) fn key(self, seeds: &Seeds, index: u64) -> SigningKey {
        key(seeds, self.label(), index)
    }

    /// Where its agent's randomness comes from, or would.
    pub(crate) fn entropy(self, seeds: &Seeds, index: u64) -> SeededEntropy {
        SeededEntropy::new(seeds.derive(&format!("{} entropy", self.label()), index))
    }
}

/// A key that follows from the run's seeds.
pub(crate) fn key(seeds: &Seeds, label: &str, index: u64) -> SigningKey {
    SigningKey::generate(&mut ChaCha20Rng::from_seed(seeds.derive(label, index)))
}

/// The key that the agent of the hospital with this index has, or would have.
pub(crate) fn hospital_key(seeds: &Seeds, index: u64) -> SigningKey {
    Role::Hospital.key(seeds, index)
}

/// A site's key, entropy and rows, without an agent.
pub(crate) struct Hand {
    pub(crate) client: SitesClient<Channel>,
    pub(crate) identity: Identity,
    from: Sources,
    entropy: SeededEntropy,
    policy: PolicyConfig,
    federation: u64,
    role: Role,
    holder: Holder,
}

/// A connection of one's own to the coordinator.
pub(crate) async fn channel(url: &str) -> Channel {
    endpoint(Endpoint::from_shared(url.to_owned()).unwrap()).connect().await.unwrap()
}

impl Hand {
    /// The hospital with this index, counted from 0, with these rows.
    pub(crate) async fn new(federation: &Federation, index: u64, holder: &Holder) -> Self {
        Self::of(federation, Role::Hospital, index, holder).await
    }

    /// The validator with this index.
    pub(crate) async fn validator(federation: &Federation, index: u64, holder: &Holder) -> Self {
        Self::of(federation, Role::Validator, index, holder).await
    }

    async fn of(federation: &Federation, role: Role, index: u64, holder: &Holder) -> Self {
        let (net, seeds) = (&federation.net, &federation.seeds);
        let identity = Identity::new(role.key(seeds, index), net.ledger.deployment(), net.federation);
        let store = Arc::new(GatewayStore::new(vec![net.url.parse().unwrap()]).unwrap());
        let memory = Memory::new(Journal::memory().unwrap(), identity.federation());
        let privacy = &federation.scenario.spec.privacy;
        Self {
            client: sites_client(channel(&net.url).await, MAX_PARAMETERS),
            from: Sources { ledger: net.ledger.clone(), store, memory, identity: identity.clone() },
            identity,
            entropy: role.entropy(seeds, index),
            policy: PolicyConfig {
                accept_leak: privacy.accept_leak,
                scalars_max: privacy.scalars_max,
                min_cohort: None,
            },
            federation: net.federation,
            role,
            holder: holder.clone(),
        }
    }

    pub(crate) fn account(&self) -> Address {
        self.identity.account()
    }

    fn data(&self) -> &Dataset {
        &self.holder.data
    }

    fn draw(&self, purpose: &'static str, about: &[u8]) -> [u8; 32] {
        *self.entropy.draw(purpose, about).unwrap()
    }

    pub(crate) async fn join(&mut self) {
        let (federation, account) = (self.federation, self.account());
        let join = Join { federation, account, entity: entity_id(&self.holder.name), role: self.role as u8 };
        let rows = u32::try_from(self.data().rows()).unwrap();
        let request = JoinRequest { join: self.identity.sign_join(join).unwrap(), rows };
        self.client.join(wire::JoinRequest::from(request)).await.unwrap();
    }

    async fn notices(&mut self) -> Streaming<wire::RoundNotice> {
        let request = WatchRequest { federation: self.federation };
        self.client.watch(wire::WatchRequest::from(request)).await.unwrap().into_inner()
    }

    /// Offers to serve in a round, as soon as that is asked for.
    pub(crate) async fn ready(&mut self, round: u64) {
        let mut notices = self.notices().await;
        while next(&mut notices).await.next_round != round {}
        let seed = self.draw("member-key", &round.to_be_bytes());
        let key = MemberKey::from_seed(&seed).public();
        let (federation, member) = (self.federation, self.account());
        let ready = Ready { federation, round, member, keyHash: alloy_primitives::keccak256(key) };
        let request = ReadyRequest { ready: self.identity.sign(ready).unwrap(), key: key.to_vec().into() };
        self.client.announce_ready(wire::ReadyRequest::from(request)).await.unwrap();
    }

    /// The terms of a round once a stage of it is posted, verified as every site verifies them.
    pub(crate) async fn terms(&mut self, number: u64, after: Stage) -> Terms {
        let mut notices = self.notices().await;
        let (rounds, round) = loop {
            let rounds = self.from.ledger.rounds(self.federation).await.unwrap();
            let has = |round: &&RoundRecord| round.number == number && round.stages.contains_key(&after);
            if let Some(round) = rounds.iter().find(has).cloned() {
                break (rounds, round);
            }
            next(&mut notices).await;
        };
        let federation = self.from.ledger.federation(self.federation).await.unwrap().unwrap();
        terms(&self.from, &self.policy, &federation, &rounds, &round).await.unwrap()
    }

    /// What its rows make of the base model.
    pub(crate) async fn update(&self, terms: &Terms) -> Update {
        let (site, terms, data) = (self.draw("site-seed", &[]), terms.clone(), self.data().clone());
        let train = move || train_update(&terms, &data, site, &ComputeDevice::cpu());
        tokio::task::spawn_blocking(train).await.unwrap().unwrap()
    }

    /// From which the agent would draw the secret of its upload.
    pub(crate) fn randomness(&self, terms: &Terms) -> [u8; 32] {
        self.draw("upload", terms.ctx.as_slice())
    }

    /// What the agent would upload.
    pub(crate) async fn contribution(&self, terms: &Terms) -> Contributed {
        build_contribution(terms, self.account(), &self.update(terms).await, &self.randomness(terms)).unwrap()
    }

    /// The set that follows from the scores a chain shows.
    pub(crate) async fn admission(&self, terms: &Terms, chain: &Ledger) -> Admitted {
        let from = Sources { ledger: chain.clone(), ..self.from.clone() };
        let round = chain.round(self.federation, terms.descriptor.round).await.unwrap().unwrap();
        let revealed = revealed(&from, terms, &round).await.unwrap();
        let judged = judged(&from, terms, &round, &revealed).await.unwrap();
        recompute_admission(terms, &revealed, &judged, None).unwrap()
    }

    /// Goes on with an upload whose line broke.
    pub(crate) async fn upload_again(&mut self, terms: &Terms, contributed: Contributed) -> Result<B256, SiteError> {
        upload(&mut self.client, &self.identity, terms.coordinator, contributed, Attempt::Again).await
    }

    /// Signs and uploads; the receipt is checked.
    pub(crate) async fn upload(&mut self, terms: &Terms, contributed: Contributed) -> Result<B256, SiteError> {
        upload(&mut self.client, &self.identity, terms.coordinator, contributed, Attempt::First).await
    }

    /// Uploads under a manifest that was signed before.
    pub(crate) async fn upload_signed(
        &mut self,
        contribution: almoner_proto::Signed<almoner_protocol::types::Contribution>,
        files: [bytes::Bytes; 3],
    ) -> Result<(), tonic::Status> {
        let [ciphertext_bytes, check_bytes, shares_bytes] = files.each_ref().map(|file| file.len() as u64);
        let header = UploadHeader { contribution, ciphertext_bytes, check_bytes, shares_bytes, offset: 0 };
        let messages = tokio_stream::iter(almoner_proto::upload_messages(header, files));
        self.client.upload(messages).await.map(|_| ())
    }
}

/// What the coordinator said to something it did not take.
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, SiteError>) -> (ErrorKind, String) {
    match result {
        Err(SiteError::Wire(WireError::Status(status))) => (kind_of(&status), status.message().to_owned()),
        other => panic!("not refused by the coordinator: {other:?}"),
    }
}

async fn next(notices: &mut Streaming<wire::RoundNotice>) -> RoundNotice {
    let notice = notices.next().await.expect("the coordinator runs").unwrap();
    notice.try_into().unwrap()
}
