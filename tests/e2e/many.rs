//! More hospitals than a committee holds: all take part, and a sample of them serves, another one every round.

use std::collections::BTreeSet;

use almoner_chain::RoundRecord;
use almoner_protocol::types::LockItem;
use almoner_protocol::{Address, Stage};

use crate::federation::{Federation, Plan, run, settle};

const HOSPITALS: usize = 70;

fn committee(round: &RoundRecord) -> BTreeSet<Address> {
    round.readies.iter().map(|ready| ready.member).collect()
}

#[test]
fn hospitals_that_were_not_drawn_take_part_and_are_paid() {
    run(async {
        let mut federation = Federation::of(Plan { hospitals: HOSPITALS, ..Plan::of(2) }).await;
        let Federation { net, scenario, .. } = &mut federation;
        let reports = settle(net, scenario, 2, async {}).await;
        let rounds = [federation.round(1).await, federation.round(2).await];
        for (round, report) in rounds.iter().zip(&reports) {
            let serving = committee(round);
            assert_eq!(serving.len(), usize::from(round.descriptor.members));
            assert!((30..64).contains(&serving.len()), "{} serve", serving.len());
            let locked: Vec<LockItem> = federation.list(round, Stage::Lock).await;
            assert_eq!(locked.len(), HOSPITALS);
            let paid = |serves| {
                report.paid.iter().filter(|line| line.pay > 0 && serving.contains(&line.account) == serves).count()
            };
            assert!(paid(true) > 0 && paid(false) > 3, "{} and {}", paid(true), paid(false));
        }
        assert_ne!(committee(&rounds[0]), committee(&rounds[1]));
        let report = federation.audit().await;
        assert_eq!(report.first_wrong, None);
        federation.net.stop().await.unwrap();
    });
}
