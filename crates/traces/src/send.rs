//! Spans on their way to a collector, by OTLP over gRPC.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use almoner_protocol::Address;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use sha2::{Digest, Sha256};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tonic::transport::Channel;

/// What is told next; none once nothing more will be.
pub(crate) async fn next<T: Clone>(told: &mut Receiver<T>) -> Option<T> {
    loop {
        match told.recv().await {
            Ok(progress) => return Some(progress),
            Err(RecvError::Lagged(missed)) => tracing::warn!(missed, "traces fell behind"),
            Err(RecvError::Closed) => return None,
        }
    }
}

/// Whose rounds they are.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub chain_id: u64,
    /// The contract.
    pub rounds: Address,
}

#[derive(Debug, thiserror::Error)]
#[error("traces: {0}")]
pub struct TracesError(String);

/// The way to a collector. What it does not take is lost: a round waits for nobody who only looks.
#[derive(Debug)]
pub struct Traces {
    exporter: SpanExporter,
    place: Place,
    /// Whether the last span did not arrive: that is told once.
    lost: AtomicBool,
}

/// One thing that took a while.
pub(crate) struct Span {
    pub(crate) round: u64,
    pub(crate) name: String,
    pub(crate) start: SystemTime,
    pub(crate) end: SystemTime,
    pub(crate) attributes: Vec<KeyValue>,
    pub(crate) status: Status,
}

impl Span {
    pub(crate) fn new(round: u64, name: impl Into<String>, start: SystemTime, end: SystemTime) -> Self {
        Self { round, name: name.into(), start, end, attributes: Vec::new(), status: Status::Unset }
    }

    pub(crate) fn with(mut self, key: &'static str, value: impl Into<opentelemetry::Value>) -> Self {
        self.attributes.push(KeyValue::new(key, value));
        self
    }
}

impl Traces {
    /// Of a role, to the collector at the other end of a channel.
    pub fn new(channel: Channel, role: &'static str, place: Place) -> Result<Self, TracesError> {
        let built = SpanExporter::builder().with_tonic().with_channel(channel).build();
        let mut exporter = built.map_err(|error| TracesError(error.to_string()))?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder_empty().with_service_name(format!("almoner-{role}")).with_attribute(version);
        exporter.set_resource(&resource.build());
        Ok(Self { exporter, place, lost: AtomicBool::new(false) })
    }

    /// Sends a round as a whole; the spans of every role are below it.
    pub(crate) async fn round(&self, span: Span) {
        let (trace, own) = self.ids(span.round);
        self.send(span, trace, own, SpanId::INVALID).await;
    }

    pub(crate) async fn within(&self, span: Span) {
        let (trace, round) = self.ids(span.round);
        let mut own = [0; 8];
        // Without randomness a span replaces another one in a picture: no reason to stop anything.
        let _ = getrandom::fill(&mut own);
        self.send(span, trace, SpanId::from_bytes(own), round).await;
    }

    /// What everybody calls a round, and the span of the whole of it.
    fn ids(&self, round: u64) -> (TraceId, SpanId) {
        let Place { chain_id, rounds } = self.place;
        let hash = Sha256::new().chain_update(b"almoner/trace/v0").chain_update(chain_id.to_be_bytes());
        let hash: [u8; 32] = hash.chain_update(rounds).chain_update(round.to_be_bytes()).finalize().into();
        let (trace, rest) = hash.split_at(16);
        let word = |bytes: &[u8]| bytes.iter().fold(0_u128, |word, byte| word << 8 | u128::from(*byte));
        let span = rest.iter().take(8).fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
        (TraceId::from(word(trace)), SpanId::from(span))
    }

    async fn send(&self, span: Span, trace: TraceId, own: SpanId, parent: SpanId) {
        let Span { round, name, start, end, mut attributes, status } = span;
        // A round is numbered by its contract, and no contract has that many.
        attributes.push(KeyValue::new("almoner.round", i64::try_from(round).unwrap_or(i64::MAX)));
        let data = SpanData {
            span_context: SpanContext::new(trace, own, TraceFlags::SAMPLED, false, TraceState::NONE),
            parent_span_id: parent,
            parent_span_is_remote: parent != SpanId::INVALID,
            span_kind: SpanKind::Internal,
            name: name.into(),
            start_time: start,
            end_time: end,
            attributes,
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status,
            instrumentation_scope: InstrumentationScope::builder("almoner").build(),
        };
        match self.exporter.export(vec![data]).await {
            Ok(()) => {
                if self.lost.swap(false, Ordering::Relaxed) {
                    tracing::info!("the collector of traces takes them again");
                }
            }
            Err(error) => {
                if !self.lost.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "traces are lost until their collector takes them again");
                }
            }
        }
    }
}
