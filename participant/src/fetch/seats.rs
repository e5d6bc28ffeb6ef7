//! The lists of a round against the seats of the chain.

use std::collections::BTreeMap;

use almoner_chain::{FederationRecord, RoundRecord, SeatRecord};
use almoner_protocol::types::{CommitteeMember, Member, Validator};
use almoner_protocol::{Address, ListItem};

use crate::SiteError;

/// Members and validators are exactly the seats that count in this round, and the committee posted its keys.
pub fn check_seats(
    federation: &FederationRecord,
    round: &RoundRecord,
    members: &[Member],
    committee: &[CommitteeMember],
    validators: &[Validator],
) -> Result<(), SiteError> {
    let seats = seated(&federation.members, round.number);
    let wanted: Vec<Member> =
        seats.values().map(|seat| Member { account: seat.account, entity: seat.entity, class: seat.class }).collect();
    if members != wanted {
        return Err(differs(Member::LIST));
    }
    let seats = seated(&federation.validators, round.number);
    let wanted: Vec<Validator> = seats
        .values()
        .map(|seat| Validator { account: seat.account, entity: seat.entity, stake: seat.stake })
        .collect();
    if validators != wanted {
        return Err(differs(Validator::LIST));
    }
    for member in committee {
        let hash = alloy_primitives::keccak256(&member.key);
        if !round.readies.iter().any(|ready| ready.member == member.account && ready.key_hash == hash) {
            let reason = format!("{} did not post this key", member.account);
            return Err(SiteError::List { list: CommitteeMember::LIST, reason });
        }
    }
    Ok(())
}

/// By account; a later seat of an account replaces an earlier one.
fn seated(seats: &[SeatRecord], round: u64) -> BTreeMap<Address, &SeatRecord> {
    seats.iter().filter(|seat| seat.since <= round).map(|seat| (seat.account, seat)).collect()
}

fn differs(list: &'static str) -> SiteError {
    SiteError::List { list, reason: "not the seats of the chain".into() }
}
