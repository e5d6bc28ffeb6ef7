//! What an operator's tools ask a coordinator before they know anything of ours: is it well, and what does it speak.

use std::collections::BTreeSet;

use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::federation::{Aggregator, Federation, run};
use crate::hand::channel;

#[test]
fn a_coordinator_says_that_it_serves_and_what() {
    run(async {
        let federation = Federation::found(0, Aggregator::Own, 1).await;
        let channel = channel(&federation.net.url).await;
        let asked = HealthCheckRequest { service: String::new() };
        let health = HealthClient::new(channel.clone()).check(asked).await.unwrap().into_inner();
        assert_eq!(health.status(), ServingStatus::Serving);

        let message_request = Some(MessageRequest::ListServices(String::new()));
        let request = ServerReflectionRequest { host: String::new(), message_request };
        let mut client = ServerReflectionClient::new(channel);
        let answers = client.server_reflection_info(tokio_stream::once(request)).await.unwrap();
        let answer = answers.into_inner().message().await.unwrap().unwrap().message_response;
        let Some(MessageResponse::ListServicesResponse(list)) = answer else { panic!("{answer:?}") };
        let served: BTreeSet<String> = list.service.into_iter().map(|service| service.name).collect();
        for service in ["Sites", "Researchers", "Aggregators"] {
            assert!(served.contains(&format!("almoner.v0.{service}")), "{served:?}");
        }
        federation.net.stop().await.unwrap();
    });
}
