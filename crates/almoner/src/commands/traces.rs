//! `traces = "http://127.0.0.1:4317"` in the files of a coordinator, an aggregator and a site: where spans of its rounds
//! are sent, by OTLP over gRPC. A build without the feature `otel` reads the same files and refuses the key by name.

#[cfg(feature = "otel")]
mod asked {
    use almoner_chain::Deployment;
    use almoner_tls::Client as Tls;
    use almoner_traces::{Place, Traces};
    use tonic::transport::Channel;

    use crate::commands::channel::dial_named;
    use crate::failure::{Blame, Failure, Kind};

    /// The way to a collector.
    pub(in crate::commands) struct Collector(Channel);

    /// Looks only whether it may be dialled: a collector may come and go.
    pub(in crate::commands) fn collector(url: Option<&str>) -> Result<Option<Collector>, Failure> {
        // It is no coordinator: it is shown no certificate, and no hello.
        let dial = |url: &str| dial_named(&Tls::default(), url, "traces").map(Collector);
        url.map(dial).transpose()
    }

    impl Collector {
        pub(in crate::commands) fn of(self, role: &'static str, at: &Deployment) -> Result<Traces, Failure> {
            let place = Place { chain_id: at.chain_id, rounds: at.rounds };
            Traces::new(self.0, role, place).blame(Kind::Us, "traces")
        }
    }
}

#[cfg(not(feature = "otel"))]
mod asked {
    use almoner_aggregator::AggregatorProgress;
    use almoner_chain::Deployment;
    use almoner_coordinator::Progress;
    use almoner_participant::SiteProgress;
    use almoner_protocol::Address;
    use tokio::sync::broadcast::Receiver;

    use crate::failure::Failure;

    pub(in crate::commands) enum Collector {}

    /// Nobody has one.
    pub(in crate::commands) enum Traces {}

    pub(in crate::commands) fn collector(url: Option<&str>) -> Result<Option<Collector>, Failure> {
        let refuse = |url: &str| {
            let text = format!("traces = {url:?}: this build sends none; build with --features otel, or leave it out");
            Err(Failure::you(text))
        };
        url.map_or(Ok(None), refuse)
    }

    impl Collector {
        pub(in crate::commands) fn of(self, _: &'static str, _: &Deployment) -> Result<Traces, Failure> {
            match self {}
        }
    }

    impl Traces {
        pub(in crate::commands) async fn follow_coordinator(self, _: Receiver<Progress>) {
            match self {}
        }

        pub(in crate::commands) async fn follow_aggregator(self, _: String, _: Receiver<AggregatorProgress>) {
            match self {}
        }

        pub(in crate::commands) async fn follow_site(self, _: Address, _: Receiver<SiteProgress>) {
            match self {}
        }
    }
}

pub(super) use asked::{Collector, collector};

#[cfg(test)]
mod tests {
    use super::collector;

    #[test]
    fn nobody_is_asked_unless_named_and_a_build_that_cannot_says_so() {
        assert!(collector(None).unwrap().is_none());
        let failed = collector(Some("http://collector.example:4317")).map(|_| ()).unwrap_err().to_string();
        match cfg!(feature = "otel") {
            true => assert!(failed.contains("not a loopback address"), "{failed}"),
            false => assert!(failed.contains("traces = ") && failed.contains("--features otel"), "{failed}"),
        }
    }
}
