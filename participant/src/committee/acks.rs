//! A certificate: t members say they saw the same transcript value.
//!
//! Any two certificates share an honest member, and an honest member signs one value per stage, so a coordinator that
//! shows two members two chains does not get two certificates.

use std::collections::BTreeSet;

use almoner_proto::Signed;
use almoner_protocol::types::StageAck;
use almoner_protocol::{B256, Stage};

use crate::fetch::Terms;
use crate::{Identity, SiteError};

/// Holds the acknowledgements of a stage against the transcript value this member itself sees.
pub fn check_acknowledgements(
    identity: &Identity,
    terms: &Terms,
    stage: Stage,
    transcript: B256,
    acks: &[Signed<StageAck>],
) -> Result<(), SiteError> {
    let bad = |reason| SiteError::BadAcknowledgement { stage, reason };
    let mut signers = BTreeSet::new();
    for Signed { message, signature } in acks {
        if message.ctx != terms.ctx || message.stage != stage.number() {
            return Err(bad("it is of another round or stage"));
        }
        if message.transcript != transcript {
            return Err(bad("somebody saw another transcript"));
        }
        let signer = identity.signer(message, signature)?;
        if terms.committee_index(signer).is_none() {
            return Err(bad("it is not signed by a member of the committee"));
        }
        signers.insert(signer);
    }
    let (have, need) = (signers.len(), terms.threshold());
    if have < need { Err(SiteError::Acknowledgements { stage, have, need }) } else { Ok(()) }
}
