//! U, computed from the posted scores by the member itself. It signs no other set.

use almoner_chain::RoundRecord;
use almoner_crypto::score::{Direction, open_score};
use almoner_protocol::types::{DirectionItem, ScoreItem, VerdictItem};
use almoner_protocol::{Admission, Admitted, Evidence, ScoreVerdict, Stage, admit, unpack_direction};

use super::Revealed;
use super::lists::stage;
use crate::SiteError;
use crate::fetch::{Sources, Terms, list};

const VERDICT_ITEM: usize = 64;

/// The audit and score lists, held against their roots.
#[derive(Clone, Debug)]
pub struct Judged {
    pub audit: Vec<VerdictItem>,
    /// Empty until the scores are posted.
    pub scores: Vec<ScoreItem>,
}

/// Reads the audit list, and the score list if it is there.
pub async fn judged(
    from: &Sources,
    terms: &Terms,
    round: &RoundRecord,
    revealed: &Revealed,
) -> Result<Judged, SiteError> {
    let store = from.store.as_ref();
    let posted = stage(round, Stage::Audit)?;
    let locked = revealed.lock.len();
    let audit = list(store, &posted.cid, locked, VERDICT_ITEM, posted.root);
    let scores = async {
        match round.stages.get(&Stage::Score) {
            Some(posted) => list(store, &posted.cid, locked, score_item(terms, revealed), posted.root).await,
            None => Ok(Vec::new()),
        }
    };
    let (audit, scores) = tokio::join!(audit, scores);
    let audit: Vec<VerdictItem> = audit?;
    let same = audit.iter().map(|item| item.participant).eq(revealed.lock.iter().map(|i| i.manifest.participant));
    if !same {
        return Err(SiteError::List { list: "audit", reason: "not one row per locked upload, in order".into() });
    }
    Ok(Judged { audit, scores: scores? })
}

/// Bytes of a score row: ABI words of inner products, responders, their answers and scores, and the frame.
fn score_item(terms: &Terms, revealed: &Revealed) -> usize {
    let (members, directions) = (terms.committee.len(), revealed.directions.len());
    32 * (12 + members + (members + 2) * directions)
}

/// Opens every score again and applies the quality rule. `own` is this member's index and its answer's words.
pub fn recompute_admission(
    terms: &Terms,
    revealed: &Revealed,
    judged: &Judged,
    own: Option<(u16, &[u64])>,
) -> Result<Admitted, SiteError> {
    let parameters = terms.descriptor.scale.parameters;
    let norm = |item: &DirectionItem| Ok(Direction(&unpack_direction(&item.entries, parameters)?).norm2());
    let norms: Vec<u64> = revealed.directions.iter().map(norm).collect::<Result<_, SiteError>>()?;
    for (row, item) in judged.scores.iter().enumerate() {
        check_opening(terms, &norms, item)?;
        if let Some((member, words)) = own {
            let columns = norms.len();
            let given = words.get(row * columns..(row + 1) * columns).unwrap_or_default();
            check_own(item, member, given)?;
        }
    }
    let evidence = Evidence {
        descriptor: &terms.descriptor,
        members: &terms.members,
        validators: &terms.validators,
        promises: &revealed.promises,
        directions: &revealed.directions,
        lock: &revealed.lock,
        audit: &judged.audit,
        scores: &judged.scores,
    };
    match admit(&evidence)? {
        Admission::Admitted(admitted) => Ok(admitted),
        Admission::TooFew { have, need } => Err(SiteError::TooFewAdmitted { have, need }),
    }
}

/// The scores are what the answers open to; a row said not to open does not.
fn check_opening(terms: &Terms, norms: &[u64], item: &ScoreItem) -> Result<(), SiteError> {
    let differs = SiteError::ScoreRow { participant: item.participant };
    let bounded = item.inner.len() == norms.len()
        && item.responders.iter().all(|member| *member < terms.descriptor.members)
        && item.answers.len() == item.responders.len() * norms.len();
    if !bounded {
        return Err(differs);
    }
    let (verdict, scores) = if norms.is_empty() {
        (ScoreVerdict::Opened, Vec::new())
    } else {
        let delta = terms.descriptor.scale.delta;
        match open_score(&item.inner, &item.responders, &item.answers, terms.threshold(), delta, norms) {
            Ok(opening) => (ScoreVerdict::Opened, opening.scores),
            Err(_) => (ScoreVerdict::Residual, Vec::new()),
        }
    };
    if item.verdict == verdict.number() && item.scores == scores { Ok(()) } else { Err(differs) }
}

/// What is posted as our answer is what we answered.
fn check_own(item: &ScoreItem, member: u16, given: &[u64]) -> Result<(), SiteError> {
    let Some(at) = item.responders.iter().position(|responder| *responder == member) else { return Ok(()) };
    let columns = given.len();
    match item.answers.get(at * columns..(at + 1) * columns) {
        Some(posted) if posted == given => Ok(()),
        _ => Err(SiteError::ForgedAnswer { participant: item.participant }),
    }
}
