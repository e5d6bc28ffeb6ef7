//! `CopiedPromise`: a validator without an opinion of its own takes another one's promise, and means to open it with
//! what that one reveals.

use almoner_chain::contracts::Rounds::revealCall;
use almoner_proto::{ErrorKind, PromiseRequest, RevealRequest, wire};
use almoner_protocol::types::{DirectionItem, DirectionPromise, PromiseItem, Reveal};
use almoner_protocol::{Bytes, SolValue, Stage, list_root};

use crate::agent::{Agent, Over};
use crate::face::Face;
use crate::federation::{Aggregator, Federation, Quarter, pass, run, settle, without};
use crate::fork::{call, reverted};
use crate::hand::{Hand, Role, refusal};
use crate::honest::two_validators;

#[test]
fn a_copied_promise_does_not_open_and_earns_nothing() {
    let without_it = two_validators();
    run(async {
        let mut federation = Federation::with_validators(4, 1, Aggregator::Honest, 1).await;
        // What the victim says passes the thief's friend on its way.
        let mut face = Face::open(&federation.net.url).await;
        let agent = Agent::new(&federation, Role::Validator, 1, &federation.absent_validators[0]);
        let victim = agent.join(Over::port(&face.url, federation.net.ledger.deployment()).await).await;
        let holder = federation.absent_validators[1].clone();
        let mut thief = Hand::validator(&federation, 2, &holder).await;
        thief.join().await;
        let account = thief.account();
        let Federation { net, scenario, .. } = &mut federation;
        let (ledger, sender, number) = (net.ledger.clone(), net.chain.sender.clone(), net.federation);
        let rounds_contract = ledger.deployment().rounds;
        let rounds = settle(net, scenario, 1, async {
            let promise = face.promise().await;
            let copy = DirectionPromise { validator: account, ..promise.message };
            let request: PromiseRequest = thief.identity.sign(copy).unwrap();
            thief.client.promise(wire::PromiseRequest::from(request)).await.unwrap();

            let RevealRequest { reveal, entries } = face.reveal().await;
            let item = DirectionItem { validator: account, entries: entries.to_vec().into() };
            // The root it was promised with, and the one that its entries have under the thief's name.
            for root in [reveal.message.directionRoot, list_root(&[item])] {
                let copy = Reveal { validator: account, directionRoot: root, ..reveal.message.clone() };
                let copy = thief.identity.sign(copy).unwrap();
                let request = RevealRequest { reveal: copy.clone(), entries: entries.clone() };
                let refused = thief.client.reveal(wire::RevealRequest::from(request)).await;
                let text = format!("{account}: reveal refused: it does not open the promise");
                assert_eq!(refusal(refused.map_err(Into::into)), (ErrorKind::Invalid, text));
                // Nor with the contract, to which anybody may bring it.
                let arguments = (vec![copy.message], vec![Bytes::copy_from_slice(&copy.signature)]).abi_encode_params();
                let refusal = reverted(call::<revealCall>(&sender, rounds_contract, arguments).await);
                assert!(refusal.is("RevealDiffers"), "{refusal}");
                assert_eq!(refusal.argument("validator"), Some(account.to_string().as_str()), "{refusal}");
            }
            pass(&ledger, number, 1, Stage::Direction, Quarter::LastCall).await;
        })
        .await;

        // Its promise is in the list and its direction is not; the others share as if it had not been there.
        let round = federation.round(1).await;
        let promises: Vec<PromiseItem> = federation.list(&round, Stage::Promise).await;
        let commitment = |who| promises.iter().find(|item| item.validator == who).unwrap().commitment;
        assert_eq!(commitment(account), commitment(victim.site.account));
        let directions: Vec<DirectionItem> = federation.list(&round, Stage::Direction).await;
        assert_eq!(directions.len(), 2);
        assert!(directions.iter().all(|item| item.validator != account));
        assert_eq!(without(&rounds[0].paid, account), without_it.rounds[0].paid);
        let own = rounds[0].paid.iter().find(|line| line.account == account).expect("a line of its own");
        assert_eq!((own.role, own.pay), (1, 0));
        let report = federation.audit().await;
        assert!(report.is_sound(), "{:?}", report.first_wrong);
        federation.net.stop().await.unwrap();
    });
}
