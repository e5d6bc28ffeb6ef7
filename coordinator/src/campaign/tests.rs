//! What an order to launch comes to.

use super::*;

const FILE: &str = include_str!("../../../docs/config/breast-cancer-logistic.toml");

fn campaign() -> Campaign {
    let base = Base { parent_ctx: B256::ZERO, root: B256::ZERO, cid: Bytes::new() };
    Campaign::new(1, FederationSpec::parse(FILE).unwrap(), Bytes::new(), base)
}

#[test]
fn a_launch_without_a_number_runs_what_is_left_of_the_plan() {
    let mut campaign = campaign();
    let check = |campaign: &Campaign, rounds, ordered: Option<u32>| {
        assert_eq!(campaign.ordered(rounds).ok(), ordered, "{rounds:?} after {}", campaign.last_round);
    };
    for (last_round, left) in [(0, Some(10)), (7, Some(3)), (10, None), (12, None)] {
        campaign.last_round = last_round;
        check(&campaign, None, left);
        // A number is a number, also beyond the plan.
        check(&campaign, Some(1), Some(1));
        check(&campaign, Some(20), Some(20));
    }
    let refused = campaign.ordered(None).unwrap_err().to_string();
    assert!(refused.contains("plans (10) are over: almoner federation launch 1 --rounds R"), "{refused}");
}

#[test]
fn nobody_is_seated_where_a_round_could_pay_nobody() {
    let mut campaign = campaign();
    let mut join = |account: u8, role| {
        let (account, entity) = (Address::repeat_byte(account), B256::repeat_byte(account));
        let message = Join { federation: 1, account, entity, role };
        let join = almoner_proto::Signed { message, signature: [0; 65] };
        campaign.join(JoinRequest { join, rows: 60 }).unwrap();
        campaign.seat().map(|seats| seats.len()).map_err(|error| error.to_string())
    };
    let few = [1, 2].map(|account| join(account, MEMBER).unwrap_err());
    assert!(few[1].contains("2 hospitals have joined, 3 are the least"), "{few:?}");
    let refused = join(3, MEMBER).unwrap_err();
    assert!(refused.contains("launch: no validator has joined"), "{refused}");
    assert!(refused.contains("almoner participant init --role validator"), "{refused}");
    assert_eq!(join(4, VALIDATOR), Ok(4));
}

/// A campaign of `members` hospitals that are all ready for the first round.
fn all_ready(members: u16) -> Campaign {
    let mut campaign = campaign();
    let account = |n: u16| Address::left_padding_from(&n.to_be_bytes());
    campaign.members = (1..=members)
        .map(|n| Member { account: account(n), entity: B256::left_padding_from(&n.to_be_bytes()), class: 1 })
        .collect();
    campaign.to_run = 1;
    for n in 1..=members {
        let message = Ready { federation: 1, round: 1, member: account(n), keyHash: B256::repeat_byte(1) };
        let ready = almoner_proto::Signed { message, signature: [0; 65] };
        campaign.offer(ReadyRequest { ready, key: vec![0; 1216].into() }, 0).unwrap();
    }
    campaign
}

fn serving(committee: &Committee) -> Vec<Address> {
    let serving: Vec<Address> = committee.committee.iter().map(|member| member.account).collect();
    assert_eq!(committee.offers.iter().map(|offer| offer.message.member).collect::<Vec<_>>(), serving);
    assert!(serving.is_sorted());
    serving
}

#[test]
fn everybody_serves_as_far_as_a_committee_has_room() {
    let campaign = all_ready(64);
    let sample = campaign.sample(B256::ZERO, 1);
    assert_eq!(sample, None);
    assert_eq!(serving(&campaign.committee(None, &BTreeSet::new())).len(), 64);
}

#[test]
fn of_more_members_those_drawn_serve() {
    let campaign = all_ready(100);
    let sample = campaign.sample(B256::ZERO, 1).unwrap();
    let committee = campaign.committee(Some(&sample), &BTreeSet::new());
    assert_eq!(committee.members.len(), 100, "all take part");
    let serving = serving(&committee);
    assert!((30..64).contains(&serving.len()), "{}", serving.len());
    assert!(serving.iter().all(|member| sample.drawn(*member)));
}

#[test]
fn more_drawn_than_there_is_room_for() {
    let campaign = all_ready(1000);
    // Some round draws more than 64; which one, anybody can compute.
    let sample = (1..).map(|round| campaign.sample(B256::ZERO, round).unwrap());
    let count = |sample: &Sample| campaign.members.iter().filter(|member| sample.drawn(member.account)).count();
    let sample = sample.into_iter().find(|sample| count(sample) > MAX_COMMITTEE).unwrap();
    let by_lot = serving(&campaign.committee(Some(&sample), &BTreeSet::new()));
    assert_eq!(by_lot.len(), MAX_COMMITTEE);
    let highest = by_lot.iter().map(|member| sample.lot(*member)).max().unwrap();
    let left_out: Vec<Address> =
        campaign.members.iter().map(|member| member.account).filter(|member| sample.lot(*member) > highest).collect();
    // What is on chain cannot be taken back: the contract has 64 places.
    let late = left_out.into_iter().find(|member| sample.drawn(*member)).unwrap();
    let again = serving(&campaign.committee(Some(&sample), &BTreeSet::from([late])));
    assert_eq!(again.len(), MAX_COMMITTEE);
    assert!(again.contains(&late));
}
