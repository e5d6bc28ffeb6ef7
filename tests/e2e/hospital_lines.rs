//! A network like a hospital's: slow lines, lines that are cut for a minute in every state of a round, for a day
//! between rounds, and half-open ones. Everything a site does goes over its line: messages, artefacts, the chain.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use almoner::localnet::{RoundReport, Seeds};
use almoner_coordinator::{CoordinatorConfig, Progress};
use almoner_proto::endpoint;
use almoner_protocol::round::State;
use tokio::sync::broadcast::error::RecvError;
use tonic::transport::Endpoint;
use tracing::Dispatch;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::agent::{Agent, Over, Running};
use crate::federation::{Aggregator, Federation, Plan, SEED, settle};
use crate::hand::Role;
use crate::honest::{Honest, honest};
use crate::line::{Condition, Line, Pace};

const START: u64 = 1_700_000_000;
const MINUTE: u64 = 60;
const DAY: u64 = 86_400;
/// What the federation is funded for, as the one that it is compared with.
const ROUNDS: u32 = 2;

/// Four hospitals and three validators, each at the end of a line of its own.
struct Lined {
    federation: Federation,
    lines: Vec<Line>,
    sites: Vec<Running>,
    clock: Arc<AtomicU64>,
}

/// What a site reaches by its line.
#[derive(Clone, Copy)]
enum Lead {
    Everything,
    /// Messages only, as the production settings have it, in a hundredth of the time.
    Messages,
}

impl Lead {
    async fn over(self, line: &Line, federation: &Federation) -> Over {
        let (net, deployment) = (&federation.net, federation.net.ledger.deployment());
        match self {
            Self::Everything => Over::port(&line.url, deployment).await,
            Self::Messages => {
                let dial = endpoint(Endpoint::from_shared(line.url.clone()).unwrap())
                    .http2_keep_alive_interval(Duration::from_millis(200))
                    .keep_alive_timeout(Duration::from_millis(300));
                Over { channel: dial.connect_lazy(), ..Over::port(&net.url, deployment).await }
            }
        }
    }
}

impl Lined {
    async fn found(pace: Option<Pace>, lead: Lead) -> Self {
        Self::found_saying(pace, lead, CoordinatorConfig::default().say_waits).await
    }

    async fn found_saying(pace: Option<Pace>, lead: Lead, say_waits: Duration) -> Self {
        let clock = Arc::new(AtomicU64::new(START));
        let read = clock.clone();
        let seeds = Seeds::insecure(SEED).with_clock(Arc::new(move || read.load(Ordering::SeqCst)));
        let plan =
            Plan { seeds, hospitals: 0, validators: 0, aggregator: Aggregator::Honest, say_waits, ..Plan::of(ROUNDS) };
        let mut federation = Federation::of(plan).await;
        let (hospitals, validators) = (&federation.absent, &federation.absent_validators);
        let hospitals = hospitals.iter().map(|holder| (Role::Hospital, holder));
        let validators = validators.iter().map(|holder| (Role::Validator, holder));
        let (mut agents, mut lines) = (Vec::new(), Vec::new());
        for (index, (role, holder)) in (0..).zip(hospitals).chain((0..).zip(validators)) {
            agents.push(Agent::new(&federation, role, index, holder));
            lines.push(Line::to(&federation.net.url, pace).await);
        }
        federation.scenario.hospitals.append(&mut federation.absent);
        federation.scenario.validators.append(&mut federation.absent_validators);
        let joining = agents.iter().zip(&lines);
        let joining = joining.map(async |(agent, line)| agent.join(lead.over(line, &federation).await).await);
        let sites = futures::future::join_all(joining).await;
        Self { federation, lines, sites, clock }
    }

    /// For so long, by every rule's clock: until each of these sites has dialled in vain.
    async fn cut_for(&self, seconds: u64, lines: impl Iterator<Item = &Line>) {
        let lines: Vec<&Line> = lines.collect();
        lines.iter().for_each(|line| line.becomes(Condition::Cut));
        futures::future::join_all(lines.iter().map(|line| line.dialled_again())).await;
        self.clock.fetch_add(seconds, Ordering::SeqCst);
        lines.iter().for_each(|line| line.becomes(Condition::Good));
    }

    async fn end(self) {
        assert_eq!(self.federation.audit().await.first_wrong, None);
        for site in self.sites {
            site.stop().await;
        }
        self.federation.net.stop().await.unwrap();
    }
}

/// What the sites of a test log, who live on the test's own thread, and what its coordinator's loop does.
fn logged<F: Future>(test: F) -> (F::Output, String) {
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);
    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let lines = Lines::default();
    let writer = lines.clone();
    let filter = EnvFilter::try_from_env("ALMONER_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(move || writer.clone());
    // While there is one listener only, whatever another test's thread logs first is taken for something that nobody
    // listens to, here too.
    static ANOTHER: OnceLock<Dispatch> = OnceLock::new();
    ANOTHER.get_or_init(|| Dispatch::new(tracing_subscriber::registry()));
    let log = log.finish();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let heard = log.set_default();
    let output = runtime.block_on(test);
    drop(heard);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    println!("{text}");
    (output, text)
}

/// The same model, scores and payments as on good lines.
fn assert_same(report: &RoundReport, Honest { rounds, .. }: &Honest) {
    let roots = |round: &RoundReport| (round.model_root, round.score_root, round.settle_root, round.payout_root);
    assert_eq!(roots(report), roots(&rounds[0]));
}

#[test]
fn slow_lines_change_nothing() {
    let (reports, log) = logged(async {
        // A trip over such a line takes as long as half of this; nothing is done by a site in fewer than three.
        let say_waits = 2 * Pace::HOSPITAL.delay;
        let mut lined = Lined::found_saying(Some(Pace::HOSPITAL), Lead::Everything, say_waits).await;
        let Federation { net, scenario, .. } = &mut lined.federation;
        let reports = settle(net, scenario, 1, async {}).await;
        lined.end().await;
        reports
    });
    assert_same(&reports[0], honest());
    // Whoever reads the log knows for whom it is slow; and nobody took a slow line for a dead one.
    let waits = |state: &str| {
        let line = format!("the round waits round=1 state={state} ");
        log.lines().any(|said| said.contains(&line) && !said.contains("waiting_for=[]"))
    };
    // A machine that is busy with something else may miss one.
    let states = ["announced", "training", "locked", "audited", "summed"];
    assert!(states.into_iter().any(waits), "{log}");
    assert!(!log.contains("no answer: waiting"), "{log}");
}

#[test]
fn lines_cut_for_a_minute_in_every_state_and_for_a_day_change_nothing() {
    let (report, log) = logged(async {
        let mut lined = Lined::found(None, Lead::Everything).await;
        let mut progress = lined.federation.net.progress.subscribe();
        lined.federation.net.launch(1).await.unwrap();
        let mut cut = BTreeSet::new();
        loop {
            match progress.recv().await {
                // Two or three sites at a time: whoever was cut a moment ago would only wait longer to dial.
                Ok(Progress::State { round: 1, state }) if cut.insert(state) => {
                    lined.cut_for(MINUTE, lined.lines.iter().skip(cut.len() % 3).step_by(3)).await;
                }
                Ok(Progress::Settled(_)) => break,
                Ok(Progress::Ended { state, reason, .. }) => panic!("{state}: {reason}"),
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => panic!("the federation stopped"),
            }
        }
        use State::*;
        for state in [Training, Locked, Revealed, Audited, Scored, Admitted, Summed, Opened] {
            assert!(cut.contains(&state), "not cut while {state}: {cut:?}");
        }
        lined.cut_for(DAY, lined.lines.iter()).await;
        let Federation { net, scenario, .. } = &mut lined.federation;
        let second = settle(net, scenario, 1, async {}).await;
        assert_eq!(second[0].paid.iter().map(|line| line.pay).sum::<u128>(), scenario.spec.round.pot.0);
        let first = lined.federation.round(1).await;
        lined.end().await;
        first
    });
    let (stages, honest) = (&report.stages, &honest().rounds[0]);
    use almoner_protocol::Stage;
    let roots = [Stage::Model, Stage::Score, Stage::Settle, Stage::Payout].map(|stage| stages[&stage].root);
    assert_eq!(roots, [honest.model_root, honest.score_root, honest.settle_root, honest.payout_root]);
    let said = |text: &str| log.lines().filter(|line| line.contains(text)).count();
    assert!(said("no answer: waiting waiting_for=\"coordinator\"") >= 4, "{log}");
    assert!(said("answered again: going on") >= 4, "{log}");
}

#[test]
fn a_line_that_swallows_everything_is_noticed_and_dialled_again() {
    let (reports, log) = logged(async {
        let mut lined = Lined::found(None, Lead::Messages).await;
        let Federation { net, scenario, .. } = &mut lined.federation;
        let mut progress = net.progress.subscribe();
        let lines = &lined.lines;
        let beside = async {
            while !matches!(progress.recv().await, Ok(Progress::State { state: State::Audited, .. })) {}
            lines.iter().for_each(|line| line.becomes(Condition::Hole));
            // Nothing ends a connection here but the site that waits for an answer.
            futures::future::join_all(lines.iter().map(Line::dialled_again)).await;
            lines.iter().for_each(|line| line.becomes(Condition::Good));
        };
        let reports = settle(net, scenario, 1, beside).await;
        lined.end().await;
        reports
    });
    assert_same(&reports[0], honest());
    assert!(log.contains("no answer: waiting waiting_for=\"coordinator\""), "{log}");
}
