//! OpenTelemetry traces of rounds, for whoever asks for them: a span per round, and below it one for each of its states
//! and transactions at a coordinator, for what a site does in it, and for every job of an aggregator.
//!
//! They are made of the facts that a screen may show ([`almoner_coordinator::Progress`],
//! [`almoner_participant::SiteProgress`], [`almoner_aggregator::AggregatorProgress`]), and of nothing that a library says
//! of itself: numbers and names, never a weight, a row or a loss. All roles give one round one trace without telling each other: its number follows from the
//! chain and the round.

mod aggregator;
mod coordinator;
mod send;
mod site;

pub use send::{Place, Traces, TracesError};
