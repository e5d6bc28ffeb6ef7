//! `TrapModel`: one hospital is given another model to train on than the others. Its update could be taken apart: what
//! a model does with rows depends on the model.

use almoner_chain::contracts::Rounds::{openCall, readyCall, voidRoundCall};
use almoner_crypto::seal::MemberKey;
use almoner_participant::{Duty, Identity, SiteError};
use almoner_proto::{ErrorKind, Kinded, Task};
use almoner_protocol::types::{CommitteeMember, Member, OpenCids, Ready, Validator};
use almoner_protocol::{
    B256, Bytes, RoundFacts, SolValue, Stage, build_descriptor, encode_list, encode_model, model_root,
};
use almoner_store::Store;

use crate::agent::{Agent, Over};
use crate::face::{Face, Shown};
use crate::federation::{
    Aggregator, Federation, Quarter, all_done, done, pass, read_list, refuses_round, run, settle, without,
};
use crate::fork::Fork;
use crate::hand::{Role, hospital_key, key};
use crate::honest::{honest, three_honest};
use crate::worker::Worker;

#[test]
fn a_task_with_another_base_model_than_the_chain_is_refused() {
    let without_it = three_honest();
    run(async {
        let tasks: [fn(&mut Task); 2] = [
            |task| task.descriptor.baseModelRoot = B256::repeat_byte(7),
            |task| task.cids.base = task.cids.spec.clone(),
        ];
        for task in tasks {
            let mut federation = Federation::found(3, Aggregator::Honest, 1).await;
            let face = Face::with_task(&federation.net.url, task).await;
            let agent = Agent::new(&federation, Role::Hospital, 3, &federation.absent[0]);
            let over = Over::port(&face.url, federation.net.ledger.deployment()).await;
            let mut trapped = agent.join(over).await;
            let Federation { net, scenario, hospitals, .. } = &mut federation;
            let (ledger, number) = (net.ledger.clone(), net.federation);
            let rounds = settle(net, scenario, 1, async {
                let error = refuses_round(&mut trapped.site, 1).await;
                assert_eq!(error.kind(), ErrorKind::PeerFault);
                assert!(matches!(*error, SiteError::OtherTask { field: "base model" }), "{error:?}");
                all_done(hospitals, 1, Duty::Contribute).await;
                pass(&ledger, number, 1, Stage::Lock, Quarter::LastCall).await;
                all_done(hospitals, 1, Duty::AnswerScores).await;
                pass(&ledger, number, 1, Stage::Score, Quarter::Half).await;
            })
            .await;
            assert_eq!(without(&rounds[0].paid, trapped.site.account), without_it.rounds[0].paid);
            assert_eq!(rounds[0].paid.len(), without_it.rounds[0].paid.len());
            let report = federation.audit().await;
            assert!(report.is_sound(), "{:?}", report.first_wrong);
            federation.net.stop().await.unwrap();
        }
    });
}

#[test]
fn a_chain_on_which_another_model_follows_is_refused() {
    let honest = honest();
    run(async {
        let mut federation = Federation::found(2, Aggregator::Own, 1).await;
        let (dir, seeds) = (federation.dir(), federation.seeds.clone());
        let deployment = federation.net.ledger.deployment().clone();
        let [slow, agent] =
            [2, 3].map(|at| Agent::new(&federation, Role::Hospital, at, &federation.absent[at as usize - 2]));
        let (slow_face, face) = (Face::open(&federation.net.url).await, Face::open(&federation.net.url).await);
        let mut slow = slow.join(Over::port(&slow_face.url, &deployment).await).await;
        let mut trapped = agent.join(Over::port(&face.url, &deployment).await).await;
        let mut worker = Worker::connect(&federation.net.url).await;
        let identities: Vec<Identity> = (0..4)
            .map(|at| {
                Identity::new(hospital_key(&seeds, at), federation.net.ledger.deployment(), federation.net.federation)
            })
            .collect();
        let Federation { net, scenario, .. } = &mut federation;
        let (store, spec) = (net.store.clone(), scenario.spec.clone());
        let traps = async {
            // For one member the chain stands still before the verdicts, so the scores wait for it.
            let read = worker.lease().await;
            done(&mut slow.site, 1, Duty::AckDirection).await;
            slow_face.show(Shown::Fork(Fork::of(&dir, key(&seeds, "coordinator", 0)).await.devnet));
            worker.finish(&read, |_| {}).await;
            done(&mut trapped.site, 1, Duty::AnswerScores).await;
            // On the chain that it sees the round is given up and tried again from another model, which the contract
            // has nothing against before the first model is final.
            let fork = Fork::of(&dir, key(&seeds, "coordinator", 0)).await;
            let (stated, own) = retry(&fork, &identities, &spec, &*store).await;
            face.show(Shown::Fork(fork.devnet.clone()));
            let error = refuses_round(&mut trapped.site, 2).await;
            assert_eq!(error.kind(), ErrorKind::PeerFault);
            let named =
                matches!(*error, SiteError::TrapModel { round: 2, stated: s, own: o } if (s, o) == (stated, own));
            assert!(named, "{error:?}");
            slow_face.show(Shown::True);
            match worker.work(|_, _| {}).await {}
        };
        let rounds = tokio::select! {
            rounds = settle(net, scenario, 1, async {}) => rounds,
            () = traps => unreachable!(),
        };
        // Its upload and its scalars were given before; the others are enough for the rest.
        assert_eq!(rounds[0].paid, honest.rounds[0].paid);
        let report = federation.audit().await;
        assert!(report.is_sound(), "{:?}", report.first_wrong);
        federation.net.stop().await.unwrap();
    });
}

/// Voids the first round and opens a second one from another model. Returns its root, and the first one's.
async fn retry(
    fork: &Fork,
    hospitals: &[Identity],
    spec: &almoner_protocol::spec::FederationSpec,
    store: &dyn Store,
) -> (B256, B256) {
    let federation = hospitals[0].federation().number;
    let first = fork.ledger.round(federation, 1).await.unwrap().unwrap();
    fork.rounds::<voidRoundCall>((federation, 1u64).abi_encode_params()).await.unwrap();
    // Every hospital offers to serve when it is asked to; here the test signs for them.
    let (mut offers, mut committee) = (Vec::new(), Vec::new());
    for (hospital, seed) in hospitals.iter().zip(1..) {
        let key = MemberKey::from_seed(&[seed; 32]).public().to_vec();
        let (member, key_hash) = (hospital.account(), alloy_primitives::keccak256(&key));
        offers.push(hospital.sign(Ready { federation, round: 2, member, keyHash: key_hash }).unwrap());
        committee.push(CommitteeMember { account: member, key: key.into() });
    }
    committee.sort_by_key(|member| member.account);
    let (offers, signatures): (Vec<Ready>, Vec<Bytes>) =
        offers.into_iter().map(|offer| (offer.message, Bytes::copy_from_slice(&offer.signature))).unzip();
    fork.rounds::<readyCall>((offers, signatures).abi_encode_params()).await.unwrap();

    let trap: Vec<i32> = (0..i32::try_from(first.descriptor.scale.parameters).unwrap()).map(|at| at << 20).collect();
    let members: Vec<Member> = read_list(store, &first.cids.members).await;
    let validators: Vec<Validator> = read_list(store, &first.cids.validators).await;
    let facts = RoundFacts {
        federation,
        round: 2,
        parent_ctx: B256::ZERO,
        base_model_root: model_root(&trap),
        matrix_root: first.descriptor.matrixRoot,
        members: &members,
        committee: &committee,
        validators: &validators,
    };
    let descriptor = build_descriptor(spec, &facts, fork.ledger.now().await.unwrap(), 0).unwrap();
    let put = async |bytes: Vec<u8>| Bytes::from(store.put(bytes.into()).await.unwrap().to_bytes());
    let cids = OpenCids {
        base: put(encode_model(&spec.model, &trap).unwrap()).await,
        committee: put(encode_list(&committee)).await,
        ..first.cids
    };
    fork.rounds::<openCall>((descriptor, cids).abi_encode_params()).await.unwrap();
    (model_root(&trap), first.descriptor.baseModelRoot)
}
