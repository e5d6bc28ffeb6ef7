//! The round's side of the transcript chain: per stage, from our root to its confirmation.

use std::collections::BTreeMap;

use alloy_primitives::{B256, Bytes};
use serde::{Deserialize, Serialize};

use super::{Finality, Posting, Rejection};
use crate::types::{Stage, transcript};

/// A stage that is on chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posted {
    pub root: B256,
    pub cid: Bytes,
    /// H of this stage.
    pub transcript: B256,
    /// Block time.
    pub at: u64,
    pub finality: Finality,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Post {
    /// The root is fixed, the artefact is on its way to the store.
    Storing {
        root: B256,
    },
    Ready(Posting),
    Posted(Posted),
}

impl Post {
    fn root(&self) -> B256 {
        match self {
            Self::Storing { root } => *root,
            Self::Ready(posting) => posting.root,
            Self::Posted(posted) => posted.root,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Posts {
    by_stage: BTreeMap<Stage, Post>,
}

impl Posts {
    /// Stage 0 is known from the start: its root is ctx.
    pub(super) fn new(ctx: B256) -> Self {
        Self { by_stage: BTreeMap::from([(Stage::Ctx, Post::Storing { root: ctx })]) }
    }

    pub(super) fn get(&self, stage: Stage) -> Option<&Post> {
        self.by_stage.get(&stage)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Stage, &Post)> {
        self.by_stage.iter().map(|(stage, post)| (*stage, post))
    }

    pub(super) fn root(&self, stage: Stage) -> Option<B256> {
        self.get(stage).map(Post::root)
    }

    pub(super) fn ready(&self, stage: Stage) -> Option<&Posting> {
        match self.get(stage) {
            Some(Post::Ready(posting)) => Some(posting),
            Some(Post::Storing { .. } | Post::Posted(_)) | None => None,
        }
    }

    pub(super) fn posted(&self, stage: Stage) -> Option<&Posted> {
        match self.get(stage) {
            Some(Post::Posted(posted)) => Some(posted),
            Some(Post::Storing { .. } | Post::Ready(_)) | None => None,
        }
    }

    /// Where a posted stage's artefact lies.
    pub(super) fn posting(&self, stage: Stage) -> Option<Posting> {
        self.posted(stage).map(|posted| Posting { root: posted.root, cid: posted.cid.clone() })
    }

    /// The first stage that is not on chain; `None` after the last one.
    pub(super) fn next(&self) -> Option<Stage> {
        Stage::ALL.into_iter().find(|stage| self.posted(*stage).is_none())
    }

    /// H of `stage`, as soon as its root is known and the stage before it is on chain.
    pub(super) fn transcript(&self, stage: Stage) -> Option<B256> {
        let previous = match stage.number().checked_sub(1) {
            None => B256::ZERO,
            Some(number) => self.posted(Stage::try_from(number).ok()?)?.transcript,
        };
        Some(transcript(previous, stage, self.root(stage)?))
    }

    /// Fixes the root of a stage. A stage has one root for good.
    pub(super) fn fix(&mut self, stage: Stage, root: B256) -> Result<(), Rejection> {
        match self.by_stage.get(&stage) {
            None => {
                self.by_stage.insert(stage, Post::Storing { root });
                Ok(())
            }
            Some(post) if post.root() == root => Ok(()),
            Some(_) => Err(Rejection::result("artefact", format!("stage {stage} already has another root"))),
        }
    }

    /// The store has the artefact of a stage.
    pub(super) fn stored(&mut self, stage: Stage, posting: Posting) -> Result<(), Rejection> {
        let Some(post) = self.by_stage.get_mut(&stage) else {
            return Err(Rejection::result("store", format!("nothing was to be stored for stage {stage}")));
        };
        if post.root() != posting.root {
            return Err(Rejection::result("store", format!("stage {stage} has another root")));
        }
        match post {
            Post::Storing { .. } => *post = Post::Ready(posting),
            // A repetition. The CID that is posted, or about to be, stays.
            Post::Ready(_) | Post::Posted(_) => {}
        }
        Ok(())
    }

    /// The chain confirms a stage. Its root and transcript must be ours; its CID may be another's who stored the
    /// same bytes, for the root decides.
    pub(super) fn confirm(&mut self, stage: Stage, seen: Posted) -> Result<(), Rejection> {
        if let Some(expected) = self.next()
            && stage > expected
        {
            return Err(Rejection::ChainAhead { posted: stage, expected });
        }
        let ours = self.root(stage);
        if ours != Some(seen.root) {
            let ours = ours.unwrap_or_default();
            return Err(Rejection::ForeignPost { stage, field: "root", posted: seen.root, ours });
        }
        let chained = self.transcript(stage).unwrap_or_default();
        if seen.transcript != chained {
            return Err(Rejection::ForeignPost { stage, field: "transcript", posted: seen.transcript, ours: chained });
        }
        match self.by_stage.get_mut(&stage) {
            // Seen again, or final by now. Finality is not taken back, nor is the time of the first sight.
            Some(Post::Posted(known)) => known.finality = known.finality.max(seen.finality),
            Some(Post::Storing { .. } | Post::Ready(_)) | None => {
                self.by_stage.insert(stage, Post::Posted(seen));
            }
        }
        Ok(())
    }
}
