//! `TwoFacedCoordinator`: a coordinator that shows one member other scores than the rest, so that another set follows
//! from them. The sums over two sets that differ by one hospital would tell that hospital's update.
//!
//! Here the second face forges the answers of two members for one hospital, so that its scalars do not open and it is
//! out. Members cannot see that: each knows only its own answers. Then it needs a certificate for that set as well.

use almoner_chain::contracts::Rounds::{admitCall, postScoresCall};
use almoner_crypto::ring::Q;
use almoner_journal::JournalError;
use almoner_participant::{Duty, SiteError};
use almoner_proto::{AcknowledgementsReply, AcknowledgementsRequest, ErrorKind, Kinded, Signed, wire};
use almoner_protocol::types::{LockItem, ScoreItem, StageAck, transcript};
use almoner_protocol::{Address, Bytes, ScoreVerdict, SolValue, Stage, encode_list, list_root};
use almoner_store::Store;

use crate::agent::{Agent, Over};
use crate::face::{Face, Shown};
use crate::federation::{Aggregator, Federation, committee_index, done, read_list, refuses, run, settle};
use crate::fork::{Fork, call, reverted};
use crate::hand::{Hand, Role, key};
use crate::honest::honest;
use crate::worker::Worker;

/// Added to every forged word: far from every multiple of Delta that an update could show.
const FORGED: u64 = (1 << 45) + (1 << 9);

/// The scores with the answers that `forged` gave for the first participant made useless.
fn other_scores(mut scores: Vec<ScoreItem>, forged: &[u16]) -> Vec<ScoreItem> {
    let row = &mut scores[0];
    let columns = row.inner.len();
    for (member, words) in row.responders.iter().zip(row.answers.chunks_mut(columns)) {
        if forged.contains(member) {
            words.iter_mut().for_each(|word| *word = (*word + FORGED) % Q);
        }
    }
    row.verdict = ScoreVerdict::Residual.number();
    row.scores.clear();
    scores
}

/// Arguments of `admit` with these acknowledgements, signers in order.
fn admit(
    federation: u64,
    list: (almoner_protocol::B256, &Bytes),
    admitted: usize,
    acks: &[(Address, Bytes)],
) -> Vec<u8> {
    let mut acks = acks.to_vec();
    acks.sort();
    let (signers, signatures): (Vec<Address>, Vec<Bytes>) = acks.into_iter().unzip();
    let admitted = u16::try_from(admitted).unwrap();
    (federation, 1u64, list.0, list.1.clone(), admitted, signers, signatures).abi_encode_params()
}

#[test]
fn two_sets_shown_to_two_members_get_one_certificate() {
    let honest = honest();
    run(async {
        let mut federation = Federation::found(2, Aggregator::Own, 1).await;
        let (dir, coordinator) = (federation.dir(), key(&federation.seeds, "coordinator", 0));
        let deployment = federation.net.ledger.deployment().clone();
        // Two hospitals dial a face each. Both are honest; one will be shown the other set, one later, after a reboot.
        let [firm, fooled] =
            [2, 3].map(|at| Agent::new(&federation, Role::Hospital, at, &federation.absent[at as usize - 2]));
        let (mut firm_face, mut fooled_face) =
            (Face::open(&federation.net.url).await, Face::open(&federation.net.url).await);
        let mut firm_runs = firm.join(Over::port(&firm_face.url, &deployment).await).await;
        let mut fooled_runs = fooled.join(Over::port(&fooled_face.url, &deployment).await).await;
        let mut bystander = Hand::new(&federation, 0, &federation.scenario.hospitals[0].clone()).await;
        let mut worker = Worker::connect(&federation.net.url).await;
        let honest_accounts: Vec<Address> = federation.hospitals.iter().map(|site| site.account).collect();

        let Federation { net, scenario, .. } = &mut federation;
        let (ledger, store, number) = (net.ledger.clone(), net.store.clone(), net.federation);
        let sender = net.chain.sender.clone();
        let faces = async {
            // Up to the audit everybody sees the same, one of them a little later, so that the scores wait for it.
            let read = worker.lease().await;
            done(&mut firm_runs.site, 1, Duty::AckDirection).await;
            firm_face.show(Shown::Fork(Fork::of(&dir, coordinator.clone()).await.devnet));
            worker.finish(&read, |_| {}).await;
            // Then the chain that the other sees stands still.
            done(&mut fooled_runs.site, 1, Duty::AnswerScores).await;
            let fork = Fork::of(&dir, coordinator).await;
            fooled_face.show(Shown::Fork(fork.devnet.clone()));
            firm_face.hold_sums(true);
            firm_face.show(Shown::True);
            // The others acknowledge the set that is admitted; its sum is still to be opened, for want of one answer.
            done(&mut firm_runs.site, 1, Duty::AckAdmit).await;
            firm_face.held_sum().await;
            let round = ledger.round(number, 1).await.unwrap().unwrap();

            // The other scores, and what the fooled member says of them.
            let lock: Vec<LockItem> = read_list(&*store, &round.stages[&Stage::Lock].cid).await;
            let scores: Vec<ScoreItem> = read_list(&*store, &round.stages[&Stage::Score].cid).await;
            let forged: Vec<u16> = honest_accounts.iter().map(|account| committee_index(&lock, *account)).collect();
            let scores = other_scores(scores, &forged);
            let cid = Bytes::from(store.put(encode_list(&scores).into()).await.unwrap().to_bytes());
            let posted = (number, 1u64, list_root(&scores), cid).abi_encode_params();
            fork.rounds::<postScoresCall>(posted).await.unwrap();
            let ack = fooled_face.kept(Stage::Admit).await;
            done(&mut fooled_runs.site, 1, Duty::AckAdmit).await;

            // It is over another set, one hospital smaller.
            let terms = bystander.terms(1, Stage::Score).await;
            let (set, other) =
                (bystander.admission(&terms, &ledger).await, bystander.admission(&terms, &fork.ledger).await);
            assert_eq!((set.set().count(), other.set().count()), (4, 3));
            let (root, items) = (list_root(&other.items), encode_list(&other.items));
            let seen = fork.ledger.round(number, 1).await.unwrap().unwrap();
            let own = transcript(seen.stages[&Stage::Score].transcript, Stage::Admit, root);
            assert_eq!(ack.message, StageAck { ctx: round.ctx, stage: Stage::Admit.number(), transcript: own });

            // One acknowledgement is no certificate, nor do those of the first set make it one.
            let cid = Bytes::from(store.put(items.into()).await.unwrap().to_bytes());
            let list = (root, &cid);
            let its = (fooled_runs.site.account, Bytes::copy_from_slice(&ack.signature));
            let refusal = reverted(fork.rounds::<admitCall>(admit(number, list, 3, std::slice::from_ref(&its))).await);
            assert!(refusal.is("TooFewSigners"), "{refusal}");
            let others = acknowledged(&mut bystander, round.ctx).await;
            assert_eq!(others.len(), 3);
            let mixed = [&others[..2], &[its]].concat();
            let refusal = reverted(fork.rounds::<admitCall>(admit(number, list, 3, &mixed)).await);
            assert!(refusal.is("BadSignature"), "{refusal}");
            let first = others[..2].iter().map(|(member, _)| *member).min().unwrap();
            assert_eq!(refusal.argument("expected"), Some(first.to_string().as_str()), "{refusal}");
            // Where a set is admitted no other one is, whoever signed for it.
            let again = admit(number, list, 3, &others);
            let refusal = reverted(call::<admitCall>(&sender, deployment.rounds, again).await);
            assert!(refusal.is("NotNext"), "{refusal}");

            // Nor does a member that is rebooted and then shown the other face acknowledge a second set.
            firm_runs.stop().await;
            firm_face.show(Shown::Fork(fork.devnet.clone()));
            let mut firm_runs = firm.start(Over::port(&firm_face.url, &deployment).await);
            let error = refuses(&mut firm_runs.site, 1, Duty::AckAdmit).await;
            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
            let stage = Stage::Admit.number();
            let conflict = matches!(&*error, SiteError::Journal(JournalError::AnswerConflict { stage: at, asked, .. })
                if (*at, *asked) == (stage, own.0));
            assert!(conflict, "{error:?}");
            let seen = fork.ledger.round(number, 1).await.unwrap().unwrap();
            assert!(!seen.stages.contains_key(&Stage::Admit), "a second set was admitted");

            // Back to the first face: the round ends as if there had been no second one.
            let mut running = Vec::new();
            let faces = [(&firm, &mut firm_face, firm_runs), (&fooled, &mut fooled_face, fooled_runs)];
            for (agent, face, runs) in faces {
                runs.stop().await;
                face.hold_sums(true);
                face.show(Shown::True);
                running.push(agent.start(Over::port(&face.url, &deployment).await));
                face.held_sum().await;
            }
            // Having answered for one set, they never answer for the other, in whatever round.
            let other: Vec<Address> = other.set().map(|item| item.participant).collect();
            for agent in [&firm, &fooled] {
                let error = agent.memory().open_once(terms.descriptor.baseModelRoot, &other).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
            }
            firm_face.hold_sums(false);
            fooled_face.hold_sums(false);
            match worker.work(|_, _| {}).await {}
        };
        let rounds = tokio::select! {
            rounds = settle(net, scenario, 1, async {}) => rounds,
            () = faces => unreachable!(),
        };
        assert_eq!(rounds[0].paid, honest.rounds[0].paid);
        assert_eq!(rounds[0].model, honest.rounds[0].model);
        let report = federation.audit().await;
        assert!(report.is_sound(), "{:?}", report.first_wrong);
        federation.net.stop().await.unwrap();
    });
}

/// The acknowledgements of the admitted set that the coordinator has, by member.
async fn acknowledged(hand: &mut Hand, ctx: almoner_protocol::B256) -> Vec<(Address, Bytes)> {
    let request = AcknowledgementsRequest { ctx, stage: Stage::Admit };
    let reply = hand.client.acknowledgements(wire::AcknowledgementsRequest::from(request)).await.unwrap();
    let AcknowledgementsReply { acks } = reply.into_inner().try_into().unwrap();
    let signed = |Signed { message, signature }: &Signed<StageAck>| {
        (hand.identity.signer(message, signature).unwrap(), Bytes::copy_from_slice(signature))
    };
    acks.iter().map(signed).collect()
}
