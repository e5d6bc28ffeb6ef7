//! Whether a round's uploads are there, their inner products with the directions, and their sum: one look answers all
//! three, so that each byte is read once. What was seen answers the round's orders as they come; where the set has become
//! smaller, or this process was started again, the uploads are read once more.

use std::sync::Arc;

use almoner_protocol::round::{Effect, Event, InnerRow, Posting, SumWeight};
use almoner_protocol::types::{DirectionItem, LockItem, VerdictItem};
use almoner_protocol::{AuditVerdict, Bytes, Stage, decode_list};
use almoner_store::cid_from_bytes;

use super::Actor;
use crate::CoordinatorError;
use crate::summing::Summing;
use crate::work::{Look, Looked, was_examined};

/// What was seen.
#[derive(Debug)]
pub(super) struct Seen {
    /// Whose uploads, in lock-list order.
    uploads: Vec<SumWeight>,
    directions: Option<Bytes>,
    verdicts: Vec<VerdictItem>,
    inners: Vec<InnerRow>,
    /// Of all of them; there is none if one of them is not held.
    sum: Option<Posting>,
}

impl Seen {
    /// What is asked for, if it was seen.
    fn answer(&self, order: &Effect) -> Option<Event> {
        match order {
            Effect::RequestAudit { uploads, .. } => {
                (self.uploads == *uploads).then(|| Event::AuditCompleted { verdicts: self.verdicts.clone() })
            }
            Effect::RequestInners { participants, directions } => {
                (self.directions.as_ref() == Some(&directions.cid)).then_some(())?;
                let row = |wanted: &SumWeight| {
                    let at = self.verdicts.iter().position(|item| item.participant == wanted.participant)?;
                    is_held(&self.verdicts[at]).then(|| self.inners[at].clone())
                };
                let rows: Option<Vec<InnerRow>> = participants.iter().map(row).collect();
                Some(Event::InnersCompleted { rows: rows? })
            }
            Effect::RequestSum { weights } => {
                let sum = self.sum.clone().filter(|_| self.uploads == *weights)?;
                Some(Event::SumCompleted { sum })
            }
            _ => None,
        }
    }
}

fn is_about_uploads(order: &Effect) -> bool {
    matches!(order, Effect::RequestAudit { .. } | Effect::RequestInners { .. } | Effect::RequestSum { .. })
}

fn is_held(item: &VerdictItem) -> bool {
    item.verdict == AuditVerdict::Held.number()
}

impl Actor {
    /// Answers an order about uploads, or has them read.
    pub(super) async fn about_uploads(&mut self, order: Effect) -> Result<Vec<Event>, CoordinatorError> {
        self.read_locked().await?;
        if let Some(event) = self.seen.as_ref().and_then(|seen| seen.answer(&order)) {
            return Ok(vec![event]);
        }
        match order {
            Effect::RequestAudit { uploads, directions, .. } => self.look_at(uploads, Some(directions)).await,
            Effect::RequestInners { participants, directions } => self.look_at(participants, Some(directions)).await,
            Effect::RequestSum { weights } => self.look_at(weights, None).await,
            _ => Ok(Vec::new()),
        }
    }

    async fn look_at(
        &mut self,
        weights: Vec<SumWeight>,
        directions: Option<Posting>,
    ) -> Result<Vec<Event>, CoordinatorError> {
        let entries = match &directions {
            Some(directions) => {
                let bytes = self.fetch(&directions.cid).await?;
                let items: Vec<DirectionItem> = decode_list(&bytes, almoner_proto::MAX_DIRECTIONS)?;
                items.into_iter().map(|item| item.entries).collect()
            }
            None => Vec::new(),
        };
        let directions = directions.filter(|_| !entries.is_empty()).map(|posting| posting.cid);
        let uploads = self.weighted(&weights)?;
        if self.jobs.work().is_some_and(|look| look.uploads == uploads && look.directions == directions) {
            return Ok(Vec::new());
        }
        self.check_uploads(uploads.iter().map(|(item, _)| item)).await?;
        let blocks = self.current_mut()?.facts.blocks();
        let sum = Arc::new(Summing::begin(self.store.as_ref(), blocks));
        self.jobs.start(Look { uploads, directions, entries, sum }, blocks);
        Ok(Vec::new())
    }

    /// A look is over: keeps what was seen, and answers what is asked for now.
    pub(super) async fn looked(&mut self, looked: Looked) -> Result<Vec<Event>, CoordinatorError> {
        let Looked { look, verdicts, inners } = looked;
        let all_held = verdicts.iter().all(is_held);
        let sum = match all_held {
            true => look.sum.keep(self.store.as_ref()).await.map(Some),
            false => Ok(None),
        };
        // Verdicts and products need no room on a disk. The sum is made once more when it is asked for.
        let sum = sum.unwrap_or_else(|error| {
            self.log_failure("keeping the sum", Err(error));
            None
        });
        let weight =
            |(item, class): &(LockItem, u16)| SumWeight { participant: item.manifest.participant, class: *class };
        let uploads = look.uploads.iter().map(weight).collect();
        let seen = Seen { uploads, directions: look.directions, verdicts, inners, sum };
        let asked = self.current.as_ref().map(|current| current.round.outstanding()).unwrap_or_default();
        let answers: Vec<Event> = asked.iter().filter_map(|order| seen.answer(order)).collect();
        self.seen = Some(seen);
        if answers.is_empty() && asked.iter().any(is_about_uploads) {
            if all_held {
                self.try_again_soon();
            } else {
                tracing::error!("an upload that was audited is no longer there");
                self.lost = true;
            }
        }
        Ok(answers)
    }

    /// The locked manifests, once they are on chain.
    pub(super) async fn read_locked(&mut self) -> Result<(), CoordinatorError> {
        let lock = match &self.current {
            Some(current) if current.locked.is_empty() => current.round.posted(Stage::Lock).cloned(),
            _ => None,
        };
        if let Some(lock) = lock {
            let bytes = self.fetch(&lock.cid).await?;
            self.current_mut()?.locked = decode_list(&bytes, almoner_proto::MAX_UPLOADS)?;
        }
        Ok(())
    }

    /// Nobody is given work on uploads that are gone. What came by the chain need not have been here: its verdict says so.
    pub(super) async fn check_uploads<'a>(
        &self,
        uploads: impl Iterator<Item = &'a LockItem>,
    ) -> Result<(), CoordinatorError> {
        for LockItem { manifest, .. } in uploads.filter(|item| was_examined(item)) {
            for cid in [&manifest.ciphertextCid, &manifest.checkCid, &manifest.sharesCid] {
                self.store.fetch(&cid_from_bytes(cid)?).await?;
            }
        }
        Ok(())
    }

    pub(super) fn weighted(&mut self, weights: &[SumWeight]) -> Result<Vec<(LockItem, u16)>, CoordinatorError> {
        let locked = &self.current_mut()?.locked;
        let find = |weight: &SumWeight| {
            let item = locked.iter().find(|item| item.manifest.participant == weight.participant)?;
            Some((item.clone(), weight.class))
        };
        weights
            .iter()
            .map(|weight| {
                find(weight).ok_or_else(|| CoordinatorError::Bug("an admitted participant is not locked".into()))
            })
            .collect()
    }
}
