//! `almoner federation watch`: the rounds as they run, as the coordinator tells them.

use almoner_proto::{RoundNotice, WatchRequest, wire};
use almoner_protocol::round::State;
use serde_json::json;
use tokio_stream::StreamExt;

use super::channel::refused;
use super::federation::{At, say};
use super::watch_bar::Bar;
use crate::failure::Failure;

/// Prints every change until a finished round has no successor. For people a bar shows how far the round is.
pub(super) async fn run(federation: u64, wait: bool, at: &At) -> Result<(), Failure> {
    let request = wire::WatchRequest::from(WatchRequest { federation });
    let (mut client, url, tls) = at.client().await?;
    let refused = |status| refused(&tls, url.as_str(), status);
    let mut notices = client.watch(request).await.map_err(refused)?.into_inner();
    let bar = Bar::new(at.json);
    let mut watched = Watched::new(wait);
    while let Some(notice) = notices.next().await {
        let notice: RoundNotice = notice.map_err(refused)?.try_into()?;
        let heard = watched.hear(&notice);
        if heard.is_news {
            show(&notice, at.json, &bar);
        }
        match heard.next {
            Next::Listen => {}
            Next::End => return Ok(()),
            Next::NothingPlanned => {
                drop(bar);
                let text = match notice.reason.is_empty() {
                    true => format!("nothing is planned: almoner federation launch {federation}"),
                    false => notice.reason,
                };
                say(at.json, federation, "nothing_planned", text);
                return Ok(());
            }
        }
    }
    Err(Failure::peer("the coordinator ended the stream; ask again"))
}

fn show(notice: &RoundNotice, json: bool, bar: &Bar) {
    let RoundNotice { round, state, reason, .. } = notice;
    if json {
        println!("{}", json!({ "schema": 1, "round": round, "state": state, "reason": reason }));
        return;
    }
    let because = if reason.is_empty() { "" } else { ": " };
    bar.show(*round, state, &format!("round {round}: {state}{because}{reason}"));
}

/// What was heard so far.
struct Watched {
    /// Where nothing was planned from the beginning, whether to stay for what will be.
    wait: bool,
    last: Option<(u64, String)>,
    /// Whether anything ran or was planned since the beginning.
    busy: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Heard {
    /// Whether there is a line to print.
    is_news: bool,
    next: Next,
}

#[derive(Debug, PartialEq, Eq)]
enum Next {
    Listen,
    End,
    /// It was so from the beginning.
    NothingPlanned,
}

impl Watched {
    fn new(wait: bool) -> Self {
        Self { wait, last: None, busy: false }
    }

    fn hear(&mut self, notice: &RoundNotice) -> Heard {
        let now = (notice.round, notice.state.clone());
        let changed = self.last.as_ref() != Some(&now);
        // Notices in between may be missed: a round that is over may be the first that is heard of it.
        self.busy |= !is_idle(notice) || (changed && self.last.is_some());
        // Between rounds, after a restart, there is a round but nothing that became of it.
        let is_news = changed && notice.round > 0 && !notice.state.is_empty();
        self.last = Some(now);
        let next = match is_idle(notice) {
            true if self.busy => Next::End,
            true if !self.wait => Next::NothingPlanned,
            _ => Next::Listen,
        };
        Heard { is_news, next }
    }
}

/// Nothing runs, and no further round is planned. A round that nothing is said of is one that is being ended.
fn is_idle(notice: &RoundNotice) -> bool {
    let over = [State::Settled, State::Void, State::Expired].map(State::name).contains(&notice.state.as_str());
    notice.next_round == 0 && (notice.round == 0 || over)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_ROUND_YET: (u64, &str, u64) = (0, "", 0);

    /// Whether each notice (round, state, next round) is printed, until it ends, and how.
    fn check(wait: bool, notices: &[(u64, &str, u64)], printed: &[bool], end: Next) {
        let mut watched = Watched::new(wait);
        let mut heard = notices.iter().map(|&(round, state, next_round)| {
            watched.hear(&RoundNotice { round, state: state.into(), next_round, ..RoundNotice::default() })
        });
        let mut lines = Vec::new();
        let last = heard.by_ref().inspect(|heard| lines.push(heard.is_news)).find(|heard| heard.next != Next::Listen);
        assert_eq!((last.map_or(Next::Listen, |heard| heard.next), &lines[..]), (end, printed), "{notices:?}");
        assert!(heard.next().is_none(), "it went on after its end: {notices:?}");
    }

    #[test]
    fn where_nothing_is_planned_it_ends_at_once_unless_it_is_to_wait() {
        check(false, &[NO_ROUND_YET], &[false], Next::NothingPlanned);
        check(true, &[NO_ROUND_YET; 3], &[false; 3], Next::Listen);
        // Its rounds are over; which was the last is worth a line.
        check(false, &[(3, "settled", 0)], &[true], Next::NothingPlanned);
        check(true, &[(3, "settled", 0)], &[true], Next::Listen);
    }

    #[test]
    fn it_ends_with_a_round_that_no_other_follows() {
        let rounds = [(0, "", 1), (1, "announced", 0), (1, "void", 2), (2, "announced", 0), (2, "settled", 0)];
        check(false, &rounds, &[false, true, true, true, true], Next::End);
        let waiting = [NO_ROUND_YET, NO_ROUND_YET, (0, "", 1), (1, "training", 0), (1, "expired", 0)];
        check(true, &waiting, &[false, false, false, true, true], Next::End);
        // Of a fast round perhaps only its end is heard.
        check(true, &[NO_ROUND_YET, (1, "settled", 0)], &[false, true], Next::End);
        check(true, &[(3, "settled", 0), (4, "settled", 0)], &[true, true], Next::End);
    }

    #[test]
    fn a_launch_that_is_stopped_before_its_first_round_is_over() {
        check(false, &[(0, "", 1), NO_ROUND_YET], &[false, false], Next::End);
    }

    #[test]
    fn a_round_that_nothing_is_said_of_is_waited_for() {
        check(false, &[(2, "", 0), (2, "void", 0)], &[false, true], Next::End);
    }
}
