//! An aggregator moved by hand: it leases and posts as the production one does, and a test may look at every job and
//! change every result.

use std::convert::Infallible;
use std::sync::Arc;

use almoner_aggregator::perform;
use almoner_proto::wire::aggregators_client::AggregatorsClient;
use almoner_proto::{Job, LeaseRequest, aggregators_client, result_messages, wire};
use almoner_store::{GatewayStore, Store};
use bytes::Bytes;
use tonic::transport::Channel;

use crate::hand::channel;

pub(crate) struct Worker {
    client: AggregatorsClient<Channel>,
    store: Arc<dyn Store>,
}

impl Worker {
    pub(crate) async fn connect(url: &str) -> Self {
        let store = Arc::new(GatewayStore::new(vec![url.parse().unwrap()]).unwrap());
        Self { client: aggregators_client(channel(url).await), store }
    }

    /// Waits for the next job. The round waits while it is held.
    pub(crate) async fn lease(&mut self) -> Job {
        loop {
            let request = wire::LeaseRequest::from(LeaseRequest { worker: "test".into() });
            let reply = self.client.lease(request).await.unwrap().into_inner();
            if let Some(job) = Job::from_wire(reply).unwrap() {
                return job;
            }
        }
    }

    /// Does a job honestly, but for what `twist` makes of the result.
    pub(crate) async fn finish(&mut self, job: &Job, twist: impl FnOnce(&mut Vec<u8>)) {
        let mut result = perform(job, self.store.as_ref()).await.unwrap().to_vec();
        twist(&mut result);
        let messages = tokio_stream::iter(result_messages(job.lease, Bytes::from(result)));
        self.client.post(messages).await.unwrap();
    }

    /// Works for ever, passing every result through `twist`.
    pub(crate) async fn work(&mut self, twist: impl Fn(&Job, &mut Vec<u8>)) -> Infallible {
        loop {
            let job = self.lease().await;
            self.finish(&job, |result| twist(&job, result)).await;
        }
    }
}
