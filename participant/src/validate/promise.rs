//! Promise and reveal as signed messages.

use almoner_proto::{PromiseRequest, RevealRequest, Signed};
use almoner_protocol::types::{DirectionItem, DirectionPromise, Promise, Reveal, commitment};
use almoner_protocol::{B256, list_root, pack_direction};

use crate::fetch::Terms;
use crate::memory::Promised;
use crate::{Identity, SiteError};

/// A direction as it stands in the direction list.
pub fn direction_item(identity: &Identity, entries: &[i8]) -> DirectionItem {
    DirectionItem { validator: identity.account(), entries: pack_direction(entries) }
}

fn root(identity: &Identity, promised: &Promised) -> B256 {
    list_root(&[direction_item(identity, &promised.entries)])
}

/// The commitment names the validator, so that a copied promise does not open.
pub fn signed_promise(identity: &Identity, terms: &Terms, promised: &Promised) -> Result<PromiseRequest, SiteError> {
    let commitment = commitment(&Promise {
        chain_id: identity.federation().chain_id,
        rounds: identity.rounds(),
        federation: terms.descriptor.federation,
        round: terms.descriptor.round,
        validator: identity.account(),
        ctx: terms.ctx,
        direction_root: root(identity, promised),
        salt: promised.salt,
    });
    identity.sign(DirectionPromise { ctx: terms.ctx, validator: identity.account(), commitment })
}

/// Opens the promise.
pub fn signed_reveal(identity: &Identity, terms: &Terms, promised: &Promised) -> Result<RevealRequest, SiteError> {
    let DirectionItem { validator, entries } = direction_item(identity, &promised.entries);
    let message = Reveal { ctx: terms.ctx, validator, directionRoot: root(identity, promised), salt: promised.salt };
    let reveal: Signed<Reveal> = identity.sign(message)?;
    Ok(RevealRequest { reveal, entries: entries.into() })
}
