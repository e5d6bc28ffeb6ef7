//! How far a round is, for people who watch. Where stderr is no terminal there is no bar, and the lines are the same.

use std::time::Duration;

use almoner_protocol::round::State;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// States on the way to a settled round.
const WAY: [State; 12] = [
    State::Announced,
    State::Promised,
    State::Training,
    State::Locked,
    State::Revealed,
    State::Audited,
    State::Scored,
    State::Admitted,
    State::Summed,
    State::Opened,
    State::Proposed,
    State::Settled,
];

pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn new(silent: bool) -> Self {
        let target = if silent { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(WAY.len() as u64), target);
        // The template is a constant and parses.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {bar:24} {pos:>2}/{len} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// The line is the result, and goes to stdout; the bar stays below it.
    pub(super) fn show(&self, round: u64, state: &str, line: &str) {
        self.0.suspend(|| println!("{line}"));
        // Void and expired rounds end where they are.
        if let Some(at) = WAY.iter().position(|step| step.name() == state) {
            self.0.set_position(at as u64 + 1);
        }
        if state == State::Announced.name() {
            self.0.reset_elapsed();
        }
        self.0.set_message(format!("round {round}: {state}"));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
