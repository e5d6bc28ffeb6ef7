//! A round as an aggregator sees it: the jobs of it that it computed.

use std::time::SystemTime;

use almoner_aggregator::AggregatorProgress;
use tokio::sync::broadcast::Receiver;

use crate::Traces;
use crate::send::{Span, next};

impl Traces {
    /// Sends what a worker tells, until it tells nothing more. Its name is the one in its file.
    pub async fn follow_aggregator(self, worker: String, mut told: Receiver<AggregatorProgress>) {
        while let Some(progress) = next(&mut told).await {
            if let Some(span) = did(progress, SystemTime::now()) {
                self.within(span.with("almoner.worker", worker.clone())).await;
            }
        }
    }
}

fn did(progress: AggregatorProgress, now: SystemTime) -> Option<Span> {
    match progress {
        // An older coordinator does not say of which round.
        AggregatorProgress::Computed { round: 0, .. } => None,
        AggregatorProgress::Computed { round, first_block, blocks, uploads, took } => {
            let span = Span::new(round, "job", now.checked_sub(took).unwrap_or(now), now);
            // At most 65,535.
            let uploads = i64::try_from(uploads).unwrap_or(i64::MAX);
            let span = span.with("almoner.first_block", i64::from(first_block));
            Some(span.with("almoner.blocks", i64::from(blocks)).with("almoner.uploads", uploads))
        }
        // Of no round.
        AggregatorProgress::ShutOut { .. } | AggregatorProgress::LetIn => None,
    }
}
