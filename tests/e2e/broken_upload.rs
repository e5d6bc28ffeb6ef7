//! An upload whose line breaks goes on where it was, and nobody else's does.

use almoner_participant::Duty;
use almoner_proto::{ErrorKind, Signed, UploadHeader, kind_of, upload_messages, wire};
use almoner_protocol::Stage;

use crate::federation::{Aggregator, Federation, Quarter, all_done, pass, run, settle};
use crate::hand::{Hand, hospital_key};
use crate::honest::honest;

/// Within the check words, the second of the three files.
const ARRIVED: usize = 40_000;

#[test]
fn an_upload_goes_on_where_its_line_broke() {
    let honest = honest();
    run(async {
        let mut federation = Federation::found(3, Aggregator::Honest, 1).await;
        let holder = federation.absent.pop().unwrap();
        let mut hand = Hand::new(&federation, 3, &holder).await;
        hand.join().await;
        let stranger = hospital_key(&federation.seeds, 9);
        let Federation { net, scenario, hospitals, .. } = &mut federation;
        let (ledger, number) = (net.ledger.clone(), net.federation);
        let rounds = settle(net, scenario, 1, async {
            hand.ready(1).await;
            let terms = hand.terms(1, Stage::Promise).await;
            let contributed = hand.contribution(&terms).await;
            let files = [&contributed.ciphertext, &contributed.check, &contributed.shares].map(Clone::clone);
            let header = UploadHeader {
                contribution: hand.identity.sign(contributed.manifest.clone()).unwrap(),
                ciphertext_bytes: files[0].len() as u64,
                check_bytes: files[1].len() as u64,
                shares_bytes: files[2].len() as u64,
                offset: 0,
            };
            // Header, then whole messages up to the place where the line breaks.
            let begun = [files[0].clone(), files[1].slice(..ARRIVED - files[0].len()), Default::default()];
            let messages = tokio_stream::iter(upload_messages(header.clone(), begun));
            let broken = hand.client.upload(messages).await.unwrap_err();
            assert_eq!((kind_of(&broken), broken.message()), (ErrorKind::Invalid, "upload stream: ended early"));

            let asked = wire::UploadHeader::from(header.clone());
            assert_eq!(hand.client.upload_offset(asked).await.unwrap().into_inner().offset, ARRIVED as u64);
            // Under a signature that is not the participant's nothing is said, and nothing was kept.
            let signature = stranger.sign_hash(contributed.manifest.ctx).unwrap();
            let forged = Signed { message: contributed.manifest.clone(), signature };
            let asked = wire::UploadHeader::from(UploadHeader { contribution: forged, ..header.clone() });
            let refused = hand.client.upload_offset(asked).await.unwrap_err();
            assert!(refused.message().contains(": signature of contribution refused: it is "), "{refused}");
            // Somebody who means to go on from another place is told to ask again.
            let elsewhere = UploadHeader { offset: 5, ..header.clone() };
            let rest = tokio_stream::iter(upload_messages(elsewhere, files.clone()));
            assert!(matches!(kind_of(&hand.client.upload(rest).await.unwrap_err()), ErrorKind::NotNow(_)));

            hand.upload_again(&terms, contributed).await.expect("what arrived and what was missing make one upload");
            let asked = wire::UploadHeader::from(header);
            assert_eq!(hand.client.upload_offset(asked).await.unwrap().into_inner().offset, 0, "it is whole");
            all_done(hospitals, 1, Duty::AnswerScores).await;
            pass(&ledger, number, 1, Stage::Score, Quarter::Half).await;
        })
        .await;
        assert_eq!(rounds[0].paid, honest.rounds[0].paid);
        assert_eq!(rounds[0].model, honest.rounds[0].model);
        assert_eq!(federation.audit().await.first_wrong, None);
        federation.net.stop().await.unwrap();
    });
}
