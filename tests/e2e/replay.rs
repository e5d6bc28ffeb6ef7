//! What was said in one round, said again in the next.

use almoner_participant::Duty;
use almoner_proto::{AcknowledgementsReply, AcknowledgementsRequest, ErrorKind, Signed, kind_of, wire};
use almoner_protocol::Stage;
use almoner_protocol::types::{LockItem, domain, recover, signing_hash};
use almoner_store::{Store, cid_from_bytes};

use crate::federation::{Aggregator, Federation, MAX_BYTES, all_done, read_list, run, settle};
use crate::hand::Hand;
use crate::honest::honest;
use crate::worker::Worker;

#[test]
fn the_last_round_cannot_be_replayed() {
    let honest = honest();
    run(async {
        let mut federation = Federation::found(4, Aggregator::Own, 2).await;
        let holder = federation.scenario.hospitals[3].clone();
        let mut replayer = Hand::new(&federation, 3, &holder).await;
        let mut worker = Worker::connect(&federation.net.url).await;
        let Federation { net, scenario, hospitals, .. } = &mut federation;
        let (ledger, store, number) = (net.ledger.clone(), net.store.clone(), net.federation);
        let journal = net.journal().clone();
        let replays = async {
            // Acknowledgements are handed to whoever asks, while their round runs: it waits for its audit.
            let job = worker.lease().await;
            all_done(hospitals, 1, Duty::AckDirection).await;
            let ctx = ledger.round(number, 1).await.unwrap().unwrap().ctx;
            let request = AcknowledgementsRequest { ctx, stage: Stage::Direction };
            let reply = replayer.client.acknowledgements(wire::AcknowledgementsRequest::from(request)).await;
            let reply = AcknowledgementsReply::try_from(reply.unwrap().into_inner()).unwrap();
            assert!(reply.acks.len() >= 3);
            // Said again it is taken and changes nothing; nor is it written down again.
            let before = journal.commits();
            for ack in (0..20).flat_map(|_| &reply.acks) {
                replayer.client.acknowledge(wire::StageAckMessage::from(ack.clone())).await.unwrap();
            }
            assert_eq!(journal.commits(), before);
            worker.finish(&job, |_| {}).await;

            // So does the second round.
            let job = worker.lease().await;
            let first = ledger.round(number, 1).await.unwrap().unwrap();
            let lock: Vec<LockItem> = read_list(&*store, &first.stages[&Stage::Lock].cid).await;
            for LockItem { manifest, signature, .. } in lock {
                let mut files = Vec::new();
                for cid in [&manifest.ciphertextCid, &manifest.checkCid, &manifest.sharesCid] {
                    files.push(store.get(&cid_from_bytes(cid).unwrap(), MAX_BYTES).await.unwrap());
                }
                let signature = signature.as_ref().try_into().unwrap();
                let signed = Signed { message: manifest, signature };
                let refused = replayer.upload_signed(signed, files.try_into().unwrap()).await.unwrap_err();
                assert_eq!(kind_of(&refused), ErrorKind::NotFound);
                assert_eq!(refused.message(), format!("ctx: round {} is not running", first.ctx));
            }
            let deployment = ledger.deployment();
            for ack in &reply.acks {
                let hash = signing_hash(&ack.message, &domain(deployment.chain_id, deployment.rounds));
                let member = recover(hash, &ack.signature).unwrap();
                let message = wire::StageAckMessage::from(ack.clone());
                let refused = replayer.client.acknowledge(message).await.unwrap_err();
                assert_eq!(kind_of(&refused), ErrorKind::Invalid);
                let text = format!("{member}: stage acknowledgement belongs to another round");
                assert_eq!(refused.message(), text);
            }
            worker.finish(&job, |_| {}).await;
            match worker.work(|_, _| {}).await {}
        };
        let rounds = tokio::select! {
            rounds = settle(net, scenario, 2, async {}) => rounds,
            () = replays => unreachable!(),
        };
        let paid = |rounds: &[almoner::localnet::RoundReport]| -> Vec<_> {
            rounds.iter().map(|round| round.paid.clone()).collect()
        };
        assert_eq!(paid(&rounds), paid(&honest.rounds));
        let report = federation.audit().await;
        assert!(report.is_sound(), "{:?}", report.first_wrong);
        federation.net.stop().await.unwrap();
    });
}
