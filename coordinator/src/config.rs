//! Settings of a coordinator and their defaults.

use std::time::Duration;

/// How a coordinator waits. What a round is about stands in the federation file, not here.
#[derive(Clone, Copy, Debug)]
pub struct CoordinatorConfig {
    /// How long to wait for members that have not offered to serve, once enough have.
    pub ready_wait: Duration,
    /// How often deadlines and the chain are looked at when nothing else happens.
    pub tick: Duration,
    /// How long a round stays in one state before the log says for whom it waits, and between two such lines.
    pub say_waits: Duration,
    /// How long an aggregator may hold a block range before it is offered again.
    pub lease: Duration,
    /// Move the chain's clock over the challenge window. Only a local node obeys.
    pub time_travel: bool,
    /// Create federations without epoch beacons: for a chain whose block hashes mean nothing.
    pub beaconless: bool,
    /// Largest total of one upload that is accepted, in bytes.
    pub upload_limit: u64,
}

impl Default for CoordinatorConfig {
    fn default() -> Self {
        Self {
            ready_wait: Duration::from_secs(30),
            tick: Duration::from_millis(250),
            say_waits: Duration::from_secs(60),
            lease: Duration::from_secs(60),
            time_travel: false,
            beaconless: false,
            upload_limit: 4 << 30,
        }
    }
}
