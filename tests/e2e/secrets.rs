//! `GarbageUpload` that no commitment shows: files that match their roots and shares that open, but of another secret
//! than the words were encrypted under; and check words that are not what the secret makes.

use almoner_chain::{PotChange, RoundStatus};
use almoner_crypto::encrypt::{Params, Secret, encrypt_update, noise_rng, update_digest};
use almoner_crypto::ring::Q;
use almoner_crypto::tree;
use almoner_participant::Duty;
use almoner_participant::contribute::{Contributed, deal_shares, seal_contribution};
use almoner_participant::fetch::Terms;
use almoner_protocol::round::Fault;
use almoner_protocol::types::VerdictItem;
use almoner_protocol::{Address, AuditVerdict, Stage};

use crate::federation::{Aggregator, Federation, Quarter, all_done, given_up, pass, run};
use crate::garbage::{Way, named_by_its_residual, spoiled};
use crate::hand::Hand;
use crate::honest::three_honest;

/// A contribution built as the agent builds it, but with shares of the secret drawn from `shared`, and whatever
/// `spoil` does to the check words. Roots, seals and signature are over what comes of it.
async fn crafted(hand: &Hand, terms: &Terms, shared: [u8; 32], spoil: fn(&mut [u8])) -> Contributed {
    let (update, own) = (hand.update(terms).await, hand.randomness(terms));
    let digest = update_digest(update.values());
    let secret = |randomness: &[u8; 32]| Secret::draw(randomness, &terms.ctx.0, &digest);
    let mut rng = noise_rng(&own, &terms.ctx.0, &digest);
    let shares = deal_shares(terms, &secret(&shared), &mut rng).unwrap();
    let scale = &terms.descriptor.scale;
    let params = Params::new(scale.delta, scale.updateMax.into()).unwrap();
    let mut ciphertext = encrypt_update(&terms.seed, secret(&own), update.values(), &params, &mut rng).unwrap();
    spoil(&mut ciphertext.check);
    ciphertext.check_root = tree::vector_root(tree::kind::CHECK, 8, &ciphertext.check);
    seal_contribution(terms, hand.account(), update.norm_class(), ciphertext, &shares, &mut rng).unwrap()
}

/// With nothing spoilt it is the agent's own, byte for byte.
async fn check_craft(hand: &Hand, terms: &Terms) {
    let (crafted, own) = (crafted(hand, terms, hand.randomness(terms), |_| {}).await, hand.contribution(terms).await);
    assert_eq!(crafted.manifest, own.manifest);
}

#[test]
fn shares_of_another_secret_keep_their_dealer_out() {
    three_honest();
    run(async {
        let craft = async |hand: &Hand, terms: &Terms| {
            check_craft(hand, terms).await;
            crafted(hand, terms, [9; 32], |_| {}).await
        };
        let (federation, hand) = spoiled(Way::Coordinator, Quarter::LastCall, craft).await;
        // No commitment shows it.
        let round = federation.round(1).await;
        let verdicts: Vec<VerdictItem> = federation.list(&round, Stage::Audit).await;
        assert!(verdicts.iter().all(|item| item.verdict == AuditVerdict::Held.number()));
        named_by_its_residual(&federation, hand.account()).await;
        federation.net.stop().await.unwrap();
    });
}

#[test]
fn a_shifted_check_word_lets_no_sum_be_opened() {
    run(async {
        let mut federation = Federation::found(3, Aggregator::Honest, 1).await;
        let holder = federation.absent.pop().unwrap();
        let mut hand = Hand::new(&federation, 3, &holder).await;
        hand.join().await;
        let pot = federation.scenario.spec.round.pot.0;
        let Federation { net, scenario, hospitals, .. } = &mut federation;
        let (ledger, number) = (net.ledger.clone(), net.federation);
        let mut members: Vec<Address> = hospitals.iter().map(|site| site.account).collect();
        let beside = async {
            hand.ready(1).await;
            let terms = hand.terms(1, Stage::Promise).await;
            let shift: fn(&mut [u8]) = |check| {
                // Times a weight, which is at most 127, it is still far from every multiple of q.
                let word = check.first_chunk_mut::<8>().unwrap();
                *word = ((u64::from_be_bytes(*word) + Q / 1000) % Q).to_be_bytes();
            };
            let contributed = crafted(&hand, &terms, hand.randomness(&terms), shift).await;
            hand.upload(&terms, contributed).await.unwrap();
            all_done(hospitals, 1, Duty::AnswerScores).await;
            pass(&ledger, number, 1, Stage::Score, Quarter::Half).await;
            // Its scalars open, so it is in the set. Three answers would open the sum, if anything could.
            all_done(hospitals, 1, Duty::AnswerSum).await;
            pass(&ledger, number, 1, Stage::Open, Quarter::Over).await;
        };
        let (text, faults) = given_up(net, scenario, beside).await;
        assert_eq!(text, "round 1 is expired: Expired(Some(Open))");
        // Who is silent is named, and that the others' answers open nothing: nobody can tell whose words are wrong.
        members.sort();
        let silent = Fault::NoAnswer { member: hand.account(), stage: Stage::Open };
        assert_eq!(faults, [silent, Fault::WrongAnswers { members }]);

        // Nobody is paid, and the whole pot is there for another round: after `admit` it never goes back.
        let round = federation.round(1).await;
        assert_eq!((round.status, round.admitted.clone().unwrap().count), (RoundStatus::Expired, 4));
        assert!(!round.stages.contains_key(&Stage::Open) && !round.stages.contains_key(&Stage::Model));
        let pots = federation.net.ledger.pots(federation.net.federation).await.unwrap();
        let last = pots.last().expect("a pot").change;
        assert_eq!(last, PotChange::Carried { amount: pot });
        let report = federation.audit().await;
        assert!(report.is_sound(), "{:?}", report.first_wrong);
        federation.net.stop().await.unwrap();
    });
}
