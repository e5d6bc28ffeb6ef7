//! What the demo shows people. Progress goes to stderr, the result to stdout; with `--json` both stay silent.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use almoner_chain::Counters;
use almoner_coordinator::Progress;
use almoner_protocol::round::State;
use almoner_protocol::{Address, FULL_QUALITY, U256};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use crate::localnet::{Baseline, Person, RoundReport, RunReport, Scenario, Seeds};
use crate::tokens::tokens;

/// States between the opening of a round and its end.
const STEPS: u64 = 12;

/// Where a finished run is to be found.
pub(super) struct Closed<'a> {
    pub(super) dir: &'a Path,
    pub(super) url: &'a str,
    /// The node it settled on, if the chain was not embedded.
    pub(super) node: Option<&'a str>,
}

pub(super) struct Screen {
    silent: bool,
    bar: ProgressBar,
    rounds: u32,
}

impl Screen {
    pub(super) fn new(silent: bool, rounds: u32, scenario: &Scenario, seeds: &Seeds) -> Self {
        let target = if silent { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(u64::from(rounds) * STEPS), target);
        // The template is a constant and parses.
        if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos:>4}/{len} {msg}") {
            bar.set_style(style);
        }
        let screen = Self { silent, bar, rounds };
        screen.say(format!(
            "{}: {} hospitals, {} validators, {} parameters, {} rounds",
            scenario.spec.name,
            scenario.hospitals.len(),
            scenario.validators.len(),
            scenario.initial.len(),
            rounds
        ));
        if seeds.seeded {
            screen.say("INSECURE: every key of this run follows from --seed");
        }
        if scenario.spec.privacy.accept_leak {
            screen.say("this federation accepts more opened scalars than its few parameters hide (accept_leak)");
        }
        screen
    }

    fn say(&self, line: impl AsRef<str>) {
        if !self.silent {
            self.bar.suspend(|| eprintln!("{}", line.as_ref()));
        }
    }

    pub(super) fn started(&self, url: &str, dir: &Path, embedded: bool) {
        self.say(format!("coordinator, store and chain at {url}, kept in {}", dir.display()));
        if embedded {
            self.say("embedded chain: a real EVM operated by this process; no consensus, no censorship resistance");
        }
    }

    /// One thing that happened; `done` is the round it finished, if it did.
    pub(super) fn show(&self, names: &BTreeMap<Address, String>, event: &Progress, done: Option<&RoundReport>) {
        match event {
            Progress::State { round, state } => {
                self.bar.inc(u64::from(*state != State::Settled));
                self.bar.set_message(format!("round {round}/{}: {state}", self.rounds));
            }
            Progress::Sent { .. } | Progress::RoundOpened { .. } | Progress::Idle => {}
            Progress::Ended { round, state, reason, faults: _ } => {
                self.say(format!("round {round} is {state}: {reason}"))
            }
            Progress::Settled(_) => {}
        }
        if let Some(report) = done {
            self.bar.set_position(report.round * STEPS);
            self.round(names, report);
        }
    }

    fn round(&self, names: &BTreeMap<Address, String>, report: &RoundReport) {
        let seconds: f64 = report.seconds.values().sum();
        let gas: u64 = report.gas.values().sum();
        self.say(format!(
            "round {:>2}: accuracy {:.3}, log-loss {:.4}, {gas} gas, {seconds:.2} s",
            report.round, report.accuracy, report.log_loss
        ));
        for paid in report.paid.iter().filter(|paid| paid.role == 0) {
            let name = names.get(&paid.account).map_or("?", String::as_str);
            let quality = paid.quality as f64 / FULL_QUALITY as f64;
            self.say(format!(
                "    {name:<14} quality {quality:.3}   this round {:>10}   so far {:>10}",
                tokens(U256::from(paid.pay)),
                tokens(U256::from(paid.cumulative))
            ));
        }
        for line in wrapped("gas", report.gas.iter().map(|(step, gas)| format!("{step} {gas}"))) {
            self.say(line);
        }
        for line in wrapped("seconds", report.seconds.iter().map(|(phase, took)| format!("{phase} {took:.2}"))) {
            self.say(line);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the last page shows everything once")]
    pub(super) fn finished(
        &self,
        report: &RunReport,
        alone: &[Baseline],
        pooled: Baseline,
        audit: &Value,
        closed: &Closed<'_>,
        (counters, (commits, syncing)): (Counters, (u64, Duration)),
        seconds: f64,
    ) {
        self.bar.finish_and_clear();
        let Some(last) = report.rounds.last() else { return };
        println!("\nwho earned what (claimed, and read back from the chain)");
        for person in report.participants.iter().chain(&report.validators) {
            println!("    {}", line(person));
        }
        println!("\non rows that no role owns       accuracy   log-loss");
        println!("    federation                     {:.3}     {:.4}", last.accuracy, last.log_loss);
        if let Some(best) = alone.iter().max_by(|a, b| a.accuracy.total_cmp(&b.accuracy)) {
            println!("    best hospital alone            {:.3}     {:.4}", best.accuracy, best.log_loss);
        }
        println!("    all rows in one place          {:.3}     {:.4}", pooled.accuracy, pooled.log_loss);
        println!(
            "\n{} transactions, {} gas, {:.2} s waiting for them; {commits} commits of the journals of coordinator and \
             sites, one fsync each, {:.2} s in all",
            counters.transactions,
            counters.gas,
            counters.waited.as_secs_f64(),
            syncing.as_secs_f64()
        );
        println!("audit: {} of {} checks held", audit["audit"]["held"], audit["audit"]["checks"]);
        println!("model: {} ({})", report.model_path.display(), report.model_cid);
        println!("done in {seconds:.1} s; {} is closed now\n", closed.url);
        println!("almoner serve {} --listen 127.0.0.1:8547", closed.dir.display());
        let node = closed.node.map(|node| format!(" --rpc {node}")).unwrap_or_default();
        println!("almoner audit http://127.0.0.1:8547{node}");
        println!(
            "python3 -c 'from safetensors.torch import load_file; print(load_file(\"{}\"))'",
            report.model_path.display()
        );
    }
}

/// Items in lines of a readable length, the first of them under a title.
fn wrapped(title: &str, items: impl Iterator<Item = String>) -> Vec<String> {
    const WIDTH: usize = 96;
    let mut lines = vec![format!("    {title:<8}")];
    for item in items {
        let last = lines.len() - 1;
        if lines[last].len() + 2 + item.len() > WIDTH {
            lines.push(format!("    {:<8}", ""));
        }
        let last = lines.len() - 1;
        lines[last].push_str("  ");
        lines[last].push_str(&item);
    }
    lines
}

fn line(person: &Person) -> String {
    let alone = person.accuracy_alone.map(|accuracy| format!("alone {accuracy:.3}")).unwrap_or_default();
    let note = if person.mislabelled { "half its labels flipped" } else { "" };
    format!("{:<14} {:>4} rows {:>14} TEST  {alone:<12} {note}", person.name, person.rows, tokens(person.balance))
        .trim_end()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_wrapped_and_nothing_is_left_out() {
        let lines = wrapped("gas", (0..20).map(|n| format!("step-{n} 123456")));
        assert!(lines.len() > 2 && lines.iter().all(|line| line.len() <= 96), "{lines:?}");
        assert!(lines[0].starts_with("    gas") && lines[1].starts_with("             "), "{lines:?}");
        assert_eq!(lines.concat().matches("step-").count(), 20);
    }
}
