//! An aggregator that posts another sum than the uploads add up to.

use almoner::localnet::RoundReport;
use almoner_audit::{Kind, Report};
use almoner_crypto::encrypt::CHECK_BYTES;
use almoner_crypto::ring::N;
use almoner_proto::Job;
use almoner_protocol::{DROP_BITS, Stage};
use almoner_store::cid_from_bytes;

use crate::federation::{Aggregator, Federation, run, settle, wrong_kinds};
use crate::honest::honest;
use crate::worker::Worker;

/// The word of the sum that is changed: the one of parameter 5.
const WORD: usize = 5;

/// Adds to one word of every sum, and does everything else as it should be done.
fn shift(job: &Job, result: &mut [u8], word: usize, by: u64) {
    // Behind the rows: the data words, and those of the check blocks.
    let words = N * job.blocks as usize + CHECK_BYTES / 8;
    let at = result.len() - 8 * words + 8 * word;
    let bytes = &mut result[at..at + 8];
    let shifted = u64::from_be_bytes(bytes.try_into().unwrap()) + by;
    bytes.copy_from_slice(&shifted.to_be_bytes());
}

/// One round with such an aggregator, and what an audit says of it. The shift is a function of Δ.
async fn shifted(by: fn(u64) -> u64) -> (RoundReport, Report, Federation) {
    let mut federation = Federation::found(4, Aggregator::Own, 1).await;
    let mut worker = Worker::connect(&federation.net.url).await;
    let Federation { net, scenario, .. } = &mut federation;
    let (ledger, number) = (net.ledger.clone(), net.federation);
    let shifting = async {
        let job = worker.lease().await;
        let delta = ledger.round(number, 1).await.unwrap().unwrap().descriptor.scale.delta;
        worker.finish(&job, |result| shift(&job, result, WORD, by(delta))).await;
        match worker.work(|job, result| shift(job, result, WORD, by(delta))).await {}
    };
    let rounds = tokio::select! {
        rounds = settle(net, scenario, 1, async {}) => rounds,
        () = shifting => unreachable!(),
    };
    let report = federation.audit().await;
    (rounds.into_iter().next().unwrap(), report, federation)
}

/// The audit names the sum, and nothing but the sum.
async fn names_the_sum(report: &Report, federation: &Federation) {
    let finding = report.first_wrong.as_ref().expect("the audit finds it");
    let cid = cid_from_bytes(&federation.round(1).await.stages[&Stage::Sum].cid).unwrap();
    assert_eq!((finding.kind, finding.round, &finding.cid), (Kind::Sum, Some(1), &Some(cid.to_string())));
    assert!(finding.text.starts_with(&format!("word {WORD} is ")), "{finding}");
    assert_eq!(wrong_kinds(report), [Kind::Sum]);
}

#[test]
fn a_shift_by_exactly_delta_is_named_by_the_audit() {
    let honest = honest();
    run(async {
        let (round, report, federation) = shifted(|delta| delta >> DROP_BITS).await;
        names_the_sum(&report, &federation).await;
        // It passes every residual and moves exactly one parameter: nobody else could have seen it.
        assert_eq!(report.notes, Vec::<String>::new());
        let pairs = round.model.iter().zip(&honest.rounds[0].model).enumerate();
        let moved: Vec<usize> = pairs.filter(|(_, (a, b))| a != b).map(|(at, _)| at).collect();
        assert_eq!(moved, [WORD]);
        assert_eq!(round.paid, honest.rounds[0].paid);
        federation.net.stop().await.unwrap();
    });
}

#[test]
fn a_wrong_sum_moves_nothing_and_is_named_by_the_audit() {
    let honest = honest();
    run(async {
        let (round, report, federation) = shifted(|delta| delta >> (DROP_BITS + 1)).await;
        names_the_sum(&report, &federation).await;
        // The block's residual is out of bounds, so the block contributes zero: the model stays what it was.
        assert!(report.notes.iter().any(|note| note.contains("moved no parameter")), "{:?}", report.notes);
        assert_eq!(round.model_root, federation.round(1).await.descriptor.baseModelRoot);
        assert_eq!(round.paid, honest.rounds[0].paid);
        federation.net.stop().await.unwrap();
    });
}
