//! What a site sees when the chain moves on while it reads.

use almoner_participant::Duty;
use almoner_protocol::Stage;

use crate::agent::{Agent, Over};
use crate::face::{Face, Shown};
use crate::federation::{Aggregator, Federation, Quarter, all_done, done, pass, run, settle};
use crate::fork::Fork;
use crate::hand::{Hand, Role, key};
use crate::honest::honest;
use crate::worker::Worker;

#[test]
fn a_stage_posted_between_two_questions_is_read_again() {
    let honest = honest();
    run(async {
        let mut federation = Federation::found(2, Aggregator::Own, 1).await;
        let (dir, coordinator) = (federation.dir(), key(&federation.seeds, "coordinator", 0));
        let deployment = federation.net.ledger.deployment().clone();
        let mut hand = Hand::new(&federation, 2, &federation.absent[0].clone()).await;
        hand.join().await;
        let face = Face::open(&federation.net.url).await;
        let agent = Agent::new(&federation, Role::Hospital, 3, &federation.absent[1]);
        let mut late = agent.join(Over::port(&face.url, &deployment).await).await;
        let mut worker = Worker::connect(&federation.net.url).await;
        let Federation { net, scenario, hospitals, .. } = &mut federation;
        let (ledger, number) = (net.ledger.clone(), net.federation);
        let race = async {
            // One upload is missing, so the chain stands still; from here on one hospital sees no more of it.
            hand.ready(1).await;
            let terms = hand.terms(1, Stage::Promise).await;
            done(&mut late.site, 1, Duty::Contribute).await;
            face.show(Shown::Fork(Fork::of(&dir, coordinator.clone()).await.devnet));
            let contributed = hand.contribution(&terms).await;
            hand.upload(&terms, contributed).await.unwrap();
            // The directions are posted and the verdicts are not: it stands still again.
            let audit = worker.lease().await;
            hand.terms(1, Stage::Direction).await;
            let before = Fork::of(&dir, coordinator).await;
            worker.finish(&audit, |_| {}).await;
            // One member is silent, so the scores wait for half time. Now that hospital reads the events as they were then, and asks the contract as it is.
            face.show(Shown::Late(before.devnet));
            done(&mut late.site, 1, Duty::AckDirection).await;
            assert!(face.is_true(), "the contract was not asked");
            done(&mut late.site, 1, Duty::AnswerScores).await;
            all_done(hospitals, 1, Duty::AnswerScores).await;
            pass(&ledger, number, 1, Stage::Score, Quarter::Half).await;
            match worker.work(|_, _| {}).await {}
        };
        let rounds = tokio::select! {
            rounds = settle(net, scenario, 1, async {}) => rounds,
            () = race => unreachable!(),
        };
        assert_eq!(rounds[0].paid, honest.rounds[0].paid);
        let report = federation.audit().await;
        assert!(report.is_sound(), "{:?}", report.first_wrong);
        federation.net.stop().await.unwrap();
    });
}
