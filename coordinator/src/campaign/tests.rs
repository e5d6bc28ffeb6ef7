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
