//! A round as a site sees it: what it did, one thing after another.

use std::time::{Duration, SystemTime};

use almoner_participant::SiteProgress;
use almoner_protocol::Address;
use opentelemetry::trace::Status;
use tokio::sync::broadcast::Receiver;

use crate::Traces;
use crate::send::{Span, next};

impl Traces {
    /// Sends what a site tells, until it tells nothing more. Its account is public: it has its seat by it.
    pub async fn follow_site(self, account: Address, mut told: Receiver<SiteProgress>) {
        // Since when it has been at what it does next.
        let mut since = SystemTime::now();
        while let Some(progress) = next(&mut told).await {
            let now = SystemTime::now();
            if let Some(span) = did(progress, since, now) {
                self.within(span.with("almoner.account", account.to_string())).await;
            }
            since = now;
        }
    }
}

fn did(progress: SiteProgress, since: SystemTime, now: SystemTime) -> Option<Span> {
    match progress {
        SiteProgress::Verified { round } => Some(Span::new(round, "verify", since, now)),
        SiteProgress::Trained { round, seconds, .. } => {
            let took = Duration::try_from_secs_f64(seconds).unwrap_or_default();
            Some(Span::new(round, "train", now.checked_sub(took).unwrap_or(now), now))
        }
        SiteProgress::Done { round, duty } => Some(Span::new(round, format!("{duty:?}"), since, now)),
        SiteProgress::Refused { round, duty, .. } if round > 0 => {
            let what = duty.map_or_else(|| "round".into(), |duty| format!("{duty:?}"));
            let span = Span::new(round, what, since, now);
            Some(Span { status: Status::error("refused; the site's log says why"), ..span })
        }
        // Of no round, or of what comes after it.
        SiteProgress::Joined { .. }
        | SiteProgress::Ready { .. }
        | SiteProgress::Refused { .. }
        | SiteProgress::Earned { .. }
        | SiteProgress::Paid { .. }
        | SiteProgress::NotPaid { .. }
        | SiteProgress::ShutOut { .. }
        | SiteProgress::LetIn => None,
    }
}
