//! How deep a block lies before a command believes what is in it, and waiting for that.

use std::time::Duration;

use almoner_chain::{Depth, Ledger};
use clap::Args;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::failure::{Blame, Failure, Kind};

/// Between two looks at least.
const LEAST_PAUSE: Duration = Duration::from_millis(100);
/// Between two words about what is waited for.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// After so long without a block the chain stands still: as long as a sender waits for one.
const STANDSTILL: Duration = Duration::from_secs(600);

#[derive(Debug, Default, Args)]
pub(crate) struct Confirmations {
    /// How deep a block lies before what it holds is believed: a number of blocks, "safe" or "finalized"; if not named
    /// 12, and 0 on chains of development tools.
    #[arg(long, value_name = "DEPTH")]
    confirmations: Option<Depth>,
}

impl Confirmations {
    /// The chain, of which only what is deep enough is there.
    pub(super) fn of(&self, ledger: &Ledger) -> Ledger {
        ledger.at(self.confirmations.unwrap_or(Depth::usual(ledger.deployment().chain_id)))
    }
}

/// What an order waits for. It is said on stderr, with `--json` too: a document a line then.
pub(super) struct Awaited<'a> {
    pub(super) what: &'a str,
    pub(super) json: bool,
}

impl Awaited<'_> {
    fn unanswered(&self, failure: &Failure) -> String {
        match self.json {
            true => json!({ "schema": 1, "waiting_for": self.what, "no_answer": failure.to_string() }).to_string(),
            false => format!("{}: no answer ({failure}); asking again", self.what),
        }
    }
}

/// Waits until what was asked for stands deep enough; `block_of` says in which block it stands, if it does. What is waited
/// for is said at once and every minute. It ends only with a chain that stands still: a slow one is not given up, nor is a
/// node that has answered and does not for a while.
pub(super) async fn until(
    ledger: &Ledger,
    awaited: Awaited<'_>,
    mut block_of: impl AsyncFnMut(&Ledger) -> Result<Option<u64>, Failure>,
) -> Result<(), Failure> {
    let shallow = ledger.at(Depth::NONE);
    let look = async || {
        if block_of(ledger).await?.is_some() {
            return Ok(None);
        }
        let block = block_of(&shallow).await?;
        let newest = shallow.head().await.blame(Kind::Peer, "the chain")?;
        Ok(Some(Stands { block, newest, depth: ledger.depth() }))
    };
    wait(&awaited, ledger.poll_interval().max(LEAST_PAUSE), look).await
}

/// Looks again and again until there is nothing that stands to be waited for.
async fn wait(
    awaited: &Awaited<'_>,
    pause: Duration,
    mut look: impl AsyncFnMut() -> Result<Option<Stands>, Failure>,
) -> Result<(), Failure> {
    let mut waits = Waits::default();
    loop {
        match look().await {
            Ok(None) => return Ok(()),
            Ok(Some(stands)) => match waits.after(stands.newest, Instant::now()) {
                Step::Nothing => {}
                Step::Say if awaited.json => eprintln!("{}", stands.document(awaited)),
                Step::Say => eprintln!("{}", stands.text(awaited)),
                Step::GiveUp => return Err(stands.stuck(awaited)),
            },
            Err(failure) if failure.kind != Kind::Peer => return Err(failure),
            Err(failure) => match waits.unanswered(Instant::now()) {
                Step::Nothing => {}
                Step::Say => eprintln!("{}", awaited.unanswered(&failure)),
                Step::GiveUp => return Err(failure),
            },
        }
        tokio::time::sleep(pause).await;
    }
}

/// As [`until`], for what is known to be in this block.
pub(super) async fn until_block(ledger: &Ledger, awaited: Awaited<'_>, block: u64) -> Result<(), Failure> {
    let reached = async |ledger: &Ledger| {
        let head = ledger.head().await.blame(Kind::Peer, "the chain")?;
        Ok((head >= block).then_some(block))
    };
    until(ledger, awaited, reached).await
}

/// Where it stands while it is waited for.
struct Stands {
    /// `None` where the chain took it back, or a node has not come so far.
    block: Option<u64>,
    newest: u64,
    depth: Depth,
}

impl Stands {
    fn text(&self, awaited: &Awaited<'_>) -> String {
        let Self { block, newest, depth } = self;
        let at = block.map_or("is in no block now".to_owned(), |block| format!("is in block {block}"));
        format!("{} {at}, the newest is {newest}; waiting until it is deep enough ({depth})", awaited.what)
    }

    fn document(&self, awaited: &Awaited<'_>) -> Value {
        let Self { block, newest, depth } = self;
        json!({
            "schema": 1,
            "waiting_for": awaited.what,
            "block": block,
            "newest_block": newest,
            "confirmations": depth,
        })
    }

    fn stuck(&self, awaited: &Awaited<'_>) -> Failure {
        Failure::peer(format!(
            "{}, and there was no new block for {} minutes: see whether the node follows its chain, and order the \
             same again, nothing is done twice; where blocks are made for transactions only, with --confirmations 0",
            self.text(awaited),
            STANDSTILL.as_secs() / 60
        ))
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Nothing,
    Say,
    GiveUp,
}

/// When to say something while blocks come, and when to stop because none do.
#[derive(Default)]
struct Waits {
    said: Option<Instant>,
    /// The newest block, and since when.
    newest: Option<(u64, Instant)>,
}

impl Waits {
    fn after(&mut self, newest: u64, now: Instant) -> Step {
        let since = self.newest.filter(|(number, _)| *number == newest).map_or(now, |(_, since)| since);
        self.newest = Some((newest, since));
        self.since(since, now)
    }

    /// Whoever never answered is not waited for.
    fn unanswered(&mut self, now: Instant) -> Step {
        self.newest.map_or(Step::GiveUp, |(_, since)| self.since(since, now))
    }

    fn since(&mut self, since: Instant, now: Instant) -> Step {
        if now.duration_since(since) >= STANDSTILL {
            return Step::GiveUp;
        }
        if self.said.is_some_and(|said| now.duration_since(said) < SAY_EVERY) {
            return Step::Nothing;
        }
        self.said = Some(now);
        Step::Say
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_is_said_at_once_and_every_minute() {
        let (mut waits, start) = (Waits::default(), Instant::now());
        let said =
            (0..=150_u32).filter(|second| waits.after(u64::from(second / 12), start + SECOND * *second) == Step::Say);
        assert_eq!(said.collect::<Vec<_>>(), [0, 60, 120]);
    }

    #[test]
    fn a_slow_chain_is_waited_for_and_one_that_stands_still_is_not() {
        let (mut waits, start) = (Waits::default(), Instant::now());
        let slow = STANDSTILL - SECOND;
        for block in 0..100_u32 {
            assert_ne!(waits.after(u64::from(block), start + slow * block), Step::GiveUp);
        }
        let last = start + slow * 99;
        assert_ne!(waits.after(99, last + slow), Step::GiveUp);
        assert_eq!(waits.after(99, last + STANDSTILL), Step::GiveUp);
    }

    #[tokio::test]
    async fn a_node_that_has_answered_is_asked_again() {
        let awaited = Awaited { what: "the money", json: true };
        let stands = || Ok(Some(Stands { block: Some(17), newest: 20, depth: Depth::Blocks(12) }));
        let away = || Err(Failure::peer("connection refused"));
        let looked = async |looks: Vec<Result<Option<Stands>, Failure>>| {
            let mut looks = looks.into_iter();
            let ended =
                wait(&awaited, Duration::ZERO, async || looks.next().expect("it was looked often enough")).await;
            assert!(looks.next().is_none(), "it is looked again after a word that ends it");
            ended.map_err(|failure| failure.to_string())
        };
        assert_eq!(looked(vec![stands(), away(), away(), stands(), Ok(None)]).await, Ok(()));
        assert_eq!(looked(vec![away()]).await, Err("connection refused".to_owned()));
        let ours = Err(Failure::new(Kind::You, anyhow::anyhow!("no such federation")));
        assert_eq!(looked(vec![stands(), ours]).await, Err("no such federation".to_owned()));
    }

    #[test]
    fn a_node_that_stays_away_is_given_up() {
        let (mut waits, start) = (Waits::default(), Instant::now());
        assert_eq!(waits.unanswered(start), Step::GiveUp);
        waits.after(20, start);
        let steps = (1..=600_u32).map(|second| waits.unanswered(start + SECOND * second));
        let steps: Vec<Step> = steps.collect();
        assert!(steps[..599].iter().all(|step| *step != Step::GiveUp) && steps[599] == Step::GiveUp);
        assert_eq!(steps.iter().filter(|step| **step == Step::Say).count(), 9);
    }

    #[test]
    fn whoever_waits_is_told_where_it_stands_and_what_to_do() {
        let awaited = Awaited { what: "the money", json: false };
        let stands = Stands { block: Some(17), newest: 20, depth: Depth::Blocks(12) };
        let text = "the money is in block 17, the newest is 20; waiting until it is deep enough (confirmations = 12)";
        assert_eq!(stands.text(&awaited), text);
        let failure = stands.stuck(&awaited);
        let stuck = ", and there was no new block for 10 minutes: see whether the node follows its chain, and order \
                     the same again, nothing is done twice; where blocks are made for transactions only, with \
                     --confirmations 0";
        assert_eq!((failure.kind, failure.to_string()), (Kind::Peer, format!("{text}{stuck}")));
        let gone = Stands { block: None, depth: "safe".parse().unwrap(), ..stands };
        let text = "the money is in no block now, the newest is 20; waiting until it is deep enough (confirmations = \"safe\")";
        assert_eq!(gone.text(&awaited), text);
        let document = json!({
            "schema": 1, "waiting_for": "the money", "block": null, "newest_block": 20, "confirmations": "safe"
        });
        assert_eq!(gone.document(&awaited), document);
    }
}
