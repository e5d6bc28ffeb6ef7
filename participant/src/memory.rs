//! What the site must not forget, over its journal. Every write is durable when it returns; calls run where blocking
//! is allowed.

use std::sync::{Arc, Mutex};

use almoner_identity::StateKey;
use almoner_journal::{Answered, Batch, Journal, JournalError};
use almoner_protocol::{Address, B256, FederationId, Stage, check_ledger};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::SiteError;

mod home;
mod model;
mod records;
mod sealed;

pub use home::HomeChain;
use model::HeldModel;
pub use records::Records;
pub(crate) use sealed::check_sealed;
pub use sealed::seal_secrets;

/// One site's durable memory in one federation.
#[derive(Clone, Debug)]
pub struct Memory {
    journal: Journal,
    federation: String,
    /// What secrets are sealed with, where the site has a vault.
    seal: Option<StateKey>,
    held: Arc<Mutex<Option<HeldModel>>>,
}

/// A direction as promised: it must be revealed as it was.
#[derive(Clone, PartialEq, Eq)]
pub struct Promised {
    pub salt: B256,
    pub entries: Vec<i8>,
}

impl std::fmt::Debug for Promised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Promised(redacted)")
    }
}

/// Length of one entry of the scalar ledger: ctx and count.
const SCALAR_ENTRY: usize = 36;

impl Memory {
    pub fn new(journal: Journal, federation: FederationId) -> Self {
        Self::sealed(journal, federation, None)
    }

    /// A memory whose secrets are sealed in the journal.
    pub fn sealed(journal: Journal, federation: FederationId, seal: Option<StateKey>) -> Self {
        Self { journal, federation: federation.to_string(), seal, held: Arc::default() }
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Journal) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, SiteError> {
        let journal = self.journal.clone();
        let done = tokio::task::spawn_blocking(move || work(&journal)).await;
        done.map_err(|_| SiteError::Stopped)?.map_err(SiteError::from)
    }

    fn key(&self, what: &str) -> String {
        format!("{}/{what}", self.federation)
    }

    async fn get(&self, what: String) -> Result<Option<Vec<u8>>, SiteError> {
        let key = self.key(&what);
        let value = self.with(move |journal| journal.state_get(&key)).await?;
        // An erased value is an empty one.
        Ok(value.filter(|value| !value.is_empty()))
    }

    async fn put(&self, what: String, value: Vec<u8>) -> Result<(), SiteError> {
        let (key, value) = (self.key(&what), Zeroizing::new(value));
        self.with(move |journal| journal.state_put(&key, &value)).await
    }

    async fn seed(&self, what: String) -> Result<Option<Zeroizing<[u8; 32]>>, SiteError> {
        let Some(value) = self.secret(what).await? else { return Ok(None) };
        let mut seed = Zeroizing::new([0; 32]);
        if value.len() != 32 {
            return Err(JournalError::Corrupt("a seed of another length").into());
        }
        seed.copy_from_slice(&value);
        Ok(Some(seed))
    }

    /// The seed under `what`, or the one `draw` makes, kept before it is used.
    async fn seed_or(
        &self,
        what: String,
        draw: impl FnOnce() -> Result<Zeroizing<[u8; 32]>, SiteError>,
    ) -> Result<Zeroizing<[u8; 32]>, SiteError> {
        if let Some(seed) = self.seed(what.clone()).await? {
            return Ok(seed);
        }
        let seed = draw()?;
        self.put_secret(what, seed.as_slice()).await?;
        Ok(seed)
    }

    /// The site's own seed: the order of its rows and its noise, the same over all rounds.
    pub async fn site_seed(
        &self,
        draw: impl FnOnce() -> Result<Zeroizing<[u8; 32]>, SiteError>,
    ) -> Result<Zeroizing<[u8; 32]>, SiteError> {
        self.seed_or("site-seed".into(), draw).await
    }

    /// The X-Wing seed with which the site serves on a round's committee.
    pub async fn member_key(
        &self,
        round: u64,
        draw: impl FnOnce() -> Result<Zeroizing<[u8; 32]>, SiteError>,
    ) -> Result<Zeroizing<[u8; 32]>, SiteError> {
        self.seed_or(format!("member-key/{round}"), draw).await
    }

    pub async fn known_member_key(&self, round: u64) -> Result<Option<Zeroizing<[u8; 32]>>, SiteError> {
        self.seed(format!("member-key/{round}")).await
    }

    /// The randomness of a round's upload: with it a restarted site builds the same upload again, not a second one.
    pub async fn upload_seed(
        &self,
        ctx: B256,
        draw: impl FnOnce() -> Result<Zeroizing<[u8; 32]>, SiteError>,
    ) -> Result<Zeroizing<[u8; 32]>, SiteError> {
        self.seed_or(format!("upload-seed/{ctx}"), draw).await
    }

    /// What training changed in a round, where training again would change something else.
    pub async fn delta(&self, ctx: B256) -> Result<Option<Vec<f32>>, SiteError> {
        let Some(value) = self.secret(format!("delta/{ctx}")).await? else { return Ok(None) };
        let (words, rest) = value.as_chunks::<4>();
        match rest.is_empty() {
            true => Ok(Some(words.iter().map(|word| f32::from_be_bytes(*word)).collect())),
            false => Err(JournalError::Corrupt("a kept update").into()),
        }
    }

    pub async fn keep_delta(&self, ctx: B256, delta: &[f32]) -> Result<(), SiteError> {
        let value: Zeroizing<Vec<u8>> = Zeroizing::new(delta.iter().flat_map(|value| value.to_be_bytes()).collect());
        self.put_secret(format!("delta/{ctx}"), &value).await
    }

    /// Forgets the keys of a round that is over, what was trained in it, and the direction.
    pub async fn forget_round(&self, round: u64, ctx: B256) -> Result<(), SiteError> {
        let member_key = format!("member-key/{round}");
        for what in [member_key, format!("upload-seed/{ctx}"), format!("delta/{ctx}"), format!("direction/{ctx}")] {
            if self.get(what.clone()).await?.is_some() {
                self.put(what, Vec::new()).await?;
            }
        }
        Ok(())
    }

    /// Hash of the manifest for which the coordinator gave a receipt.
    pub async fn receipt(&self, ctx: B256) -> Result<Option<B256>, SiteError> {
        let value = self.get(format!("receipt/{ctx}")).await?;
        Ok(value.filter(|value| value.len() == 32).map(|value| B256::from_slice(&value)))
    }

    pub async fn keep_receipt(&self, ctx: B256, manifest: B256) -> Result<(), SiteError> {
        self.put(format!("receipt/{ctx}"), manifest.to_vec()).await
    }

    pub async fn promised(&self, ctx: B256) -> Result<Option<Promised>, SiteError> {
        let value = self.secret(format!("direction/{ctx}")).await?;
        let read = |value: Zeroizing<Vec<u8>>| {
            let (salt, entries) = value.split_at_checked(32)?;
            let entries = entries.iter().map(|byte| byte.cast_signed()).collect();
            Some(Promised { salt: B256::from_slice(salt), entries })
        };
        Ok(value.and_then(read))
    }

    pub async fn keep_promise(&self, ctx: B256, promised: &Promised) -> Result<(), SiteError> {
        let mut value = Zeroizing::new(promised.salt.to_vec());
        value.extend(promised.entries.iter().map(|entry| entry.cast_unsigned()));
        self.put_secret(format!("direction/{ctx}"), &value).await
    }

    /// How often the journal was copied since the first one; 0 for one that never was.
    pub async fn generation(&self) -> Result<u64, SiteError> {
        self.with(Journal::generation).await
    }

    /// Up to when a journal of this generation may have forgotten what was said, once that was settled.
    pub async fn forgotten(&self, generation: u64) -> Result<Option<u64>, SiteError> {
        let value = self.get("forgotten".into()).await?;
        Ok(value.and_then(|value| forgotten(&value)).filter(|(of, _)| *of == generation).map(|(_, until)| until))
    }

    /// Settles it, together with the scalars that may have been opened in that time; whatever their limit.
    pub async fn keep_forgotten(&self, generation: u64, until: u64, opened: &[(B256, u32)]) -> Result<(), SiteError> {
        let mut ledger = self.get("scalars".into()).await?.unwrap_or_default();
        let known: Vec<[u8; 32]> = scalars(&ledger).map(|(ctx, _)| ctx.0).collect();
        for (ctx, count) in opened.iter().filter(|(ctx, _)| !known.contains(&ctx.0)) {
            ledger.extend_from_slice(ctx.as_slice());
            ledger.extend_from_slice(&count.to_be_bytes());
        }
        let mark = [generation.to_be_bytes(), until.to_be_bytes()].concat();
        let (at, counted) = (self.key("forgotten"), self.key("scalars"));
        self.with(move |journal| journal.commit(&Batch::new().state(&at, &mark).state(&counted, &ledger)).map(drop))
            .await
    }

    /// Notes that `count` scalars of this round's update may be opened; refuses beyond the limit. Once per round.
    pub async fn spend_scalars(&self, ctx: B256, count: u32, limit: u32) -> Result<(), SiteError> {
        let mut ledger = self.get("scalars".into()).await?.unwrap_or_default();
        if scalars(&ledger).any(|(round, _)| round == ctx) {
            return Ok(());
        }
        let opened = scalars(&ledger).map(|(_, count)| count).fold(0, u32::saturating_add);
        check_ledger(opened, count, limit)?;
        ledger.extend_from_slice(ctx.as_slice());
        ledger.extend_from_slice(&count.to_be_bytes());
        self.put("scalars".into(), ledger).await
    }

    /// Allows one acknowledgement per round and stage, for ever; to be called before it is sent.
    pub async fn acknowledge_once(&self, ctx: B256, stage: Stage, transcript: B256) -> Result<Answered, SiteError> {
        self.once("ack", ctx, stage, transcript.0).await
    }

    /// Allows one answer per round and stage, for ever; to be called before it is sent.
    pub async fn answer_once(&self, ctx: B256, stage: Stage, answer_hash: B256) -> Result<Answered, SiteError> {
        self.once("answer", ctx, stage, answer_hash.0).await
    }

    /// Allows one admitted set per base model, for ever. Two sums from one base model whose sets differ by one
    /// participant give that participant's update away; the same set again (a round retried) tells no such thing.
    pub async fn open_once(&self, base_root: B256, admitted: &[Address]) -> Result<Answered, SiteError> {
        let mut hash = Sha256::new();
        admitted.iter().for_each(|account| hash.update(account));
        self.once("set", base_root, Stage::Open, hash.finalize().into()).await
    }

    async fn once(
        &self,
        kind: &'static str,
        name: B256,
        stage: Stage,
        digest: [u8; 32],
    ) -> Result<Answered, SiteError> {
        // Kinds have federation names of their own, so that a ctx can never meet a base model's root.
        let federation = self.key(kind);
        self.with(move |journal| journal.answer_once(&federation, name.0, stage.number(), digest)).await
    }
}

/// Rounds and counts of a ledger of opened scalars.
fn scalars(ledger: &[u8]) -> impl Iterator<Item = (B256, u32)> + '_ {
    let entry = |entry: &[u8; SCALAR_ENTRY]| {
        let count = u32::from_be_bytes([entry[32], entry[33], entry[34], entry[35]]);
        (B256::from_slice(&entry[..32]), count)
    };
    ledger.as_chunks().0.iter().map(entry)
}

/// Generation and time.
fn forgotten(value: &[u8]) -> Option<(u64, u64)> {
    let (generation, until) = value.split_first_chunk()?;
    Some((u64::from_be_bytes(*generation), u64::from_be_bytes(until.try_into().ok()?)))
}

#[cfg(test)]
mod tests;
