//! What a site does, as it does it, for its log and for whoever reads its stdout: facts, never a weight or a loss.

use almoner_participant::{Duty, SiteProgress};
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::commands::status::seat;
use crate::tokens::tokens;

/// Until the site ends: into the log, and as JSON documents where they are asked for.
pub(super) async fn tell(mut told: broadcast::Receiver<SiteProgress>, json: bool) {
    loop {
        match told.recv().await {
            Ok(progress) => {
                log(&progress);
                if json {
                    println!("{}", document(&progress));
                }
            }
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

/// One line for each thing that its operator would ask about; what was refused is logged where it is.
fn log(progress: &SiteProgress) {
    match progress {
        SiteProgress::Joined { role } => tracing::info!(role = seat(*role), "joined"),
        SiteProgress::Trained { round, seconds, .. } => tracing::info!(round, seconds, "trained"),
        SiteProgress::Done { round, duty } => tracing::info!(round, duty = duty.word(), "done"),
        SiteProgress::Earned { round, claim } => {
            tracing::info!(round, tokens = tokens(claim.cumulative), "earned so far");
        }
        SiteProgress::Paid { paid, .. } => tracing::info!(tokens = tokens(*paid), "paid"),
        SiteProgress::Ready { .. }
        | SiteProgress::Verified { .. }
        | SiteProgress::Refused { .. }
        | SiteProgress::NotPaid { .. }
        | SiteProgress::ShutOut { .. }
        | SiteProgress::LetIn => {}
    }
}

fn document(progress: &SiteProgress) -> Value {
    match progress {
        SiteProgress::Joined { role } => json!({ "schema": 1, "event": "joined", "role": seat(*role) }),
        SiteProgress::Ready { round } => json!({ "schema": 1, "event": "ready", "round": round }),
        SiteProgress::Verified { round } => json!({ "schema": 1, "event": "verified", "round": round }),
        SiteProgress::Trained { round, clipped, seconds } => {
            json!({ "schema": 1, "event": "trained", "round": round, "clipped": clipped, "seconds": seconds })
        }
        SiteProgress::Done { round, duty } => {
            json!({ "schema": 1, "event": "done", "round": round, "duty": duty.word() })
        }
        SiteProgress::Refused { round, duty, error } => {
            let duty = duty.map(Duty::word);
            json!({ "schema": 1, "event": "refused", "round": round, "duty": duty, "error": error.to_string() })
        }
        SiteProgress::Earned { round, claim } => {
            let earned = claim.cumulative.to_string();
            json!({ "schema": 1, "event": "earned", "round": round, "earned": earned })
        }
        SiteProgress::Paid { paid, .. } => json!({ "schema": 1, "event": "paid", "paid": paid.to_string() }),
        SiteProgress::NotPaid { error } => json!({ "schema": 1, "event": "not_paid", "error": error.to_string() }),
        SiteProgress::ShutOut { error } => json!({ "schema": 1, "event": "shut_out", "error": error.to_string() }),
        SiteProgress::LetIn => json!({ "schema": 1, "event": "let_in" }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use almoner_participant::SiteError;

    use super::*;

    #[test]
    fn what_is_one_of_several_is_a_word_in_small_letters() {
        let error = Arc::new(SiteError::Stopped);
        let duty = Duty::AnswerScores;
        let said = document(&SiteProgress::Refused { round: 3, duty: Some(duty), error: error.clone() });
        assert_eq!((&said["event"], &said["duty"]), (&"refused".into(), &"answer_scores".into()));
        assert_eq!(document(&SiteProgress::Done { round: 3, duty })["duty"], "answer_scores");
        assert_eq!(document(&SiteProgress::ShutOut { error })["event"], "shut_out");
        let joined = [0, 1].map(|role| document(&SiteProgress::Joined { role })["role"].clone());
        assert_eq!(joined, ["member", "validator"]);
    }
}
