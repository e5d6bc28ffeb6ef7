//! What the coordinator relays, and what it refuses: a claim is worth exactly its leaf, once.

use almoner::localnet::RoundReport;
use almoner_participant::{ClaimPolicy, claim_from};
use almoner_proto::wire::sites_client::SitesClient;
use almoner_proto::{ClaimReply, ClaimRequest, ErrorKind, kind_of, sites_client, wire};
use almoner_protocol::types::PayoutItem;
use almoner_protocol::{B256, MAX_PARAMETERS, Stage, U256};
use tonic::transport::Channel;

use crate::federation::{Aggregator, Federation, run, settle};
use crate::hand::channel;

/// A settled federation of which nobody has claimed anything.
struct Settled {
    federation: Federation,
    client: SitesClient<Channel>,
    items: Vec<PayoutItem>,
    root: B256,
}

impl Settled {
    async fn new() -> Self {
        let mut federation = Federation::found(4, Aggregator::Honest, 1).await;
        let Federation { net, scenario, .. } = &mut federation;
        settle(net, scenario, 1, async {}).await;
        let client = sites_client(channel(&net.url).await, MAX_PARAMETERS);
        let round = federation.round(1).await;
        let items: Vec<PayoutItem> = federation.list(&round, Stage::Payout).await;
        Self { federation, client, items, root: round.stages[&Stage::Payout].root }
    }

    /// The claim of the account that stands here in the payout list.
    fn claim(&self, at: usize) -> ClaimRequest {
        let claim = claim_from(&self.items, self.root, self.items[at].account).unwrap().unwrap();
        claim.request(self.federation.net.federation).unwrap()
    }

    async fn ask(&mut self, claim: &ClaimRequest) -> Result<ClaimReply, tonic::Status> {
        Ok(self.client.claim(wire::ClaimRequest::from(claim.clone())).await?.into_inner().into())
    }

    async fn refused(&mut self, claim: ClaimRequest) {
        let ClaimRequest { account, cumulative, .. } = claim;
        let refusal = self.ask(&claim).await.unwrap_err();
        assert_eq!(kind_of(&refusal), ErrorKind::Invalid);
        let root = self.root;
        let text = format!("claim.proof: it does not prove {cumulative} for {account} under the payout root {root}");
        assert_eq!(refusal.message(), text);
        assert_eq!(self.balance(account).await, U256::ZERO);
    }

    async fn balance(&self, account: almoner_protocol::Address) -> U256 {
        self.federation.net.ledger.balance(account).await.unwrap()
    }

    fn transactions(&self) -> u64 {
        self.federation.net.chain.sender.counters().transactions
    }
}

#[test]
fn a_claim_is_worth_its_leaf_once() {
    run(async {
        let mut settled = Settled::new().await;
        let (own, other) = (settled.claim(0), settled.claim(1));
        let before = settled.transactions();
        settled.refused(ClaimRequest { cumulative: own.cumulative + 1, ..own.clone() }).await;
        settled.refused(ClaimRequest { proof: other.proof.clone(), ..own.clone() }).await;
        settled.refused(ClaimRequest { cumulative: other.cumulative, proof: other.proof, ..own.clone() }).await;
        settled.refused(ClaimRequest { proof: Vec::new(), ..own.clone() }).await;
        let elsewhere = ClaimRequest { federation: own.federation + 1, ..own.clone() };
        let refusal = settled.ask(&elsewhere).await.unwrap_err();
        assert_eq!(kind_of(&refusal), ErrorKind::NotFound);
        assert_eq!(settled.transactions(), before, "what is refused costs the coordinator nothing");

        let paid = settled.ask(&own).await.unwrap();
        let again = settled.ask(&own).await.unwrap();
        assert!(again.block >= paid.block);
        assert_eq!(settled.balance(own.account).await, U256::from(own.cumulative));
        assert_eq!(settled.transactions(), before + 1, "the second time there is nothing to send");
        let claims = settled.federation.net.ledger.claims(own.federation).await.unwrap();
        assert_eq!(
            claims.iter().map(|claim| (claim.account, claim.paid)).collect::<Vec<_>>(),
            [(own.account, own.cumulative)]
        );
        // Twice at once: the one transaction pays once.
        let third = settled.claim(2);
        let mut client = settled.client.clone();
        let twin = client.claim(wire::ClaimRequest::from(third.clone()));
        let (first, second) = tokio::join!(settled.ask(&third), twin);
        first.unwrap();
        second.unwrap();
        assert_eq!(settled.balance(third.account).await, U256::from(third.cumulative));
        let report = settled.federation.audit().await;
        assert!(report.is_sound(), "{:?}", report.first_wrong);
        settled.federation.net.stop().await.unwrap();
    });
}

#[test]
fn sites_that_claim_after_each_round_end_with_the_same() {
    run(async {
        let found = Federation::found_to_claim(4, Aggregator::Honest, 2, ClaimPolicy::EachRound).await;
        let mut federation = found;
        let Federation { net, scenario, hospitals, validators, .. } = &mut federation;
        let reports: Vec<RoundReport> = settle(net, scenario, 2, async {}).await;
        let (people, judges) = net.paid_out(reports.last().unwrap(), scenario, hospitals, validators).await.unwrap();
        for person in people.iter().chain(&judges) {
            assert_eq!(person.earned, person.balance, "{}", person.name);
        }
        let claims = federation.net.ledger.claims(federation.net.federation).await.unwrap();
        let rounds = federation.net.ledger.rounds(federation.net.federation).await.unwrap();
        let second = rounds[1].stages[&Stage::Payout].time;
        assert!(claims.iter().any(|claim| claim.time <= second), "somebody was paid before the second round ended");
        let report = federation.audit().await;
        assert!(report.is_sound(), "{:?}", report.first_wrong);
        federation.net.stop().await.unwrap();
    });
}
