//! What a collector of traces is sent of a round, by the coordinator, the aggregator and the sites: one trace, and no
//! secret.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use almoner_traces::{Place, Traces};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use crate::federation::{Federation, Plan, run, settle};
use crate::hand::channel;

/// Takes whatever it is sent.
struct Collector(mpsc::UnboundedSender<(String, Span)>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for sent in request.into_inner().resource_spans {
            let named = sent.resource.iter().flat_map(|resource| &resource.attributes);
            let service = named.clone().find(|attribute| attribute.key == "service.name").expect("a name");
            let service = text(service.value.as_ref().and_then(|value| value.value.as_ref()));
            for span in sent.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                let _ = self.0.send((service.clone(), span));
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("neither a name nor a number: {other:?}"),
    }
}

async fn collector() -> (SocketAddr, mpsc::UnboundedReceiver<(String, Span)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, spans) = mpsc::unbounded_channel();
    let server = Server::builder().add_service(TraceServiceServer::new(Collector(sender)));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    (address, spans)
}

#[test]
fn a_round_is_one_trace_of_everybodys_and_says_nothing_that_is_secret() {
    run(async {
        let (address, mut spans) = collector().await;
        let mut federation = Federation::of(Plan { hospitals: 3, validators: 1, ..Plan::of(1) }).await;
        let Federation { net, scenario, hospitals, validators, .. } = &mut federation;
        let deployment = net.ledger.deployment();
        let place = Place { chain_id: deployment.chain_id, rounds: deployment.rounds };
        let line = channel(&format!("http://{address}")).await;
        let of = |role| Traces::new(line.clone(), role, place).unwrap();
        tokio::spawn(of("coordinator").follow_coordinator(net.progress.subscribe()));
        tokio::spawn(of("aggregator").follow_aggregator("worker 7".into(), net.computed.subscribe()));
        let sites: Vec<_> = hospitals.iter().chain(validators.iter()).collect();
        let accounts: BTreeSet<String> = sites.iter().map(|site| site.account.to_string()).collect();
        for site in sites {
            tokio::spawn(of("participant").follow_site(site.account, site.progress.resubscribe()));
        }
        settle(net, scenario, 1, async {}).await;

        // Of each what comes last but the round itself; whatever is missing is waited for.
        let mut awaited = BTreeSet::from([
            "round",
            "proposed",
            "transaction lock",
            "job",
            "verify",
            "train",
            "Contribute",
            "Promise",
        ]);
        let mut all = Vec::new();
        while !awaited.is_empty() {
            let (service, span) = spans.recv().await.unwrap();
            awaited.remove(span.name.as_str());
            all.push((service, span));
        }
        let root = all.iter().find(|(_, span)| span.name == "round").unwrap().1.clone();
        let mut names = BTreeMap::new();
        for (service, span) in &all {
            assert_eq!(span.trace_id, root.trace_id, "{}", span.name);
            assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
            if *span != root {
                assert_eq!(span.parent_span_id, root.span_id, "{}", span.name);
            }
            names.entry(service.as_str()).or_insert_with(BTreeSet::new).insert(span.name.as_str());
            // What may be said is a list; whatever is new in it has to be thought about here.
            for attribute in &span.attributes {
                let said = text(attribute.value.as_ref().and_then(|value| value.value.as_ref()));
                let known = match attribute.key.as_str() {
                    "almoner.round" => said == "1",
                    "almoner.gas" => said.parse::<u64>().is_ok_and(|gas| gas > 21_000),
                    "almoner.outcome" => said == "settled",
                    "almoner.account" => accounts.contains(&said),
                    "almoner.worker" => said == "worker 7",
                    "almoner.first_block" => said == "0",
                    "almoner.blocks" => said == "1",
                    "almoner.uploads" => said == "3",
                    _ => false,
                };
                assert!(known, "{} = {said}", attribute.key);
            }
        }
        assert!(root.parent_span_id.is_empty() && root.attributes.len() == 2);
        for name in ["round", "training", "scored", "opened", "transaction lock"] {
            assert!(names["almoner-coordinator"].contains(name), "{names:?}");
        }
        assert_eq!(names["almoner-aggregator"], BTreeSet::from(["job"]));
        for name in ["verify", "train", "Contribute", "Promise"] {
            assert!(names["almoner-participant"].contains(name), "{names:?}");
        }
        federation.net.stop().await.unwrap();
    });
}
