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
