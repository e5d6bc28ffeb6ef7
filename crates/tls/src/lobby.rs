//! How many callers without a certificate a listener holds, and who goes when there is one too many.
//!
//! 1. Half a minute for the first whole request: what dribbles its headers, or says nothing, is sent away then.
//! 2. Where all places are taken, or the system has no file left, one goes: of those that have asked nothing yet the
//!    one that came first; where all have, the one that was silent longest. So a flood makes room with its own.
//!
//! Whoever shows a certificate takes no place here, but one of its own in a `Crowd`. Not protected: callers without one from a flood that asks real
//! questions; they are sent away in turn, and come again.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Context;
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// For the first request.
const FIRST: Duration = Duration::from_secs(30);
/// At once, where the system allows so many files.
const MOST: usize = 4096;

#[derive(Debug)]
pub(crate) struct Lobby {
    seats: Mutex<Seats>,
    most: usize,
    since: Instant,
}

/// In the order in which they were taken.
#[derive(Debug, Default)]
struct Seats {
    next: u64,
    taken: BTreeMap<u64, Arc<Seat>>,
}

/// What is known of a caller.
#[derive(Debug, Default)]
pub(crate) struct Seat {
    asked: AtomicBool,
    /// When bytes last went either way, in milliseconds since the lobby opened.
    active: AtomicU64,
    leave: CancellationToken,
}

impl Seat {
    /// It has sent a whole request.
    pub(crate) fn has_asked(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }
}

/// A caller's place, as long as its connection lasts.
#[derive(Debug)]
pub(crate) struct Guest {
    lobby: Arc<Lobby>,
    number: u64,
    pub(crate) seat: Arc<Seat>,
    told: Pin<Box<WaitForCancellationFutureOwned>>,
    first: Option<Pin<Box<Sleep>>>,
}

/// A quarter of the files that this process may have open: it may listen twice, and the rest is for its own.
fn a_quarter_of_the_files() -> usize {
    #[cfg(unix)]
    {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        limit.and_then(|files| usize::try_from(files / 4).ok()).unwrap_or(usize::MAX)
    }
    #[cfg(not(unix))]
    usize::MAX
}

impl Lobby {
    pub(crate) fn new() -> Arc<Self> {
        Self::of(a_quarter_of_the_files().min(MOST))
    }

    pub(crate) fn of(most: usize) -> Arc<Self> {
        Arc::new(Self { seats: Mutex::default(), most, since: Instant::now() })
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Seats> {
        // Seats are added and taken away in one step each: nothing is left half done.
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn enter(self: &Arc<Self>) -> Guest {
        let seat = Arc::new(Seat { active: AtomicU64::new(self.now()), ..Seat::default() });
        let mut seats = self.locked();
        if seats.taken.len() >= self.most {
            seats.send_one_away();
        }
        let number = seats.next;
        seats.next += 1;
        seats.taken.insert(number, seat.clone());
        drop(seats);
        let told = Box::pin(seat.leave.clone().cancelled_owned());
        Guest { lobby: self.clone(), number, seat, told, first: Some(Box::pin(sleep(FIRST))) }
    }

    pub(crate) fn make_room(&self) {
        self.locked().send_one_away();
    }

    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Seats {
    fn send_one_away(&mut self) {
        let unheard = self.taken.iter().find(|(_, seat)| !seat.asked.load(Ordering::Relaxed));
        let silent = || self.taken.iter().min_by_key(|(_, seat)| seat.active.load(Ordering::Relaxed));
        let Some(number) = unheard.or_else(silent).map(|(number, _)| *number) else { return };
        if let Some(seat) = self.taken.remove(&number) {
            seat.leave.cancel();
        }
    }
}

impl Guest {
    /// Whether it may stay; it is woken when it may no longer.
    pub(crate) fn may_stay(&mut self, cx: &mut Context<'_>) -> bool {
        if self.told.as_mut().poll(cx).is_ready() {
            return false;
        }
        if self.seat.asked.load(Ordering::Relaxed) {
            self.first = None;
        }
        self.first.as_mut().is_none_or(|first| first.as_mut().poll(cx).is_pending())
    }

    /// Bytes of it came or went.
    pub(crate) fn is_active(&self) {
        self.seat.active.store(self.lobby.now(), Ordering::Relaxed);
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.lobby.locked().taken.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stays(guest: &mut Guest) -> bool {
        guest.may_stay(&mut Context::from_waker(std::task::Waker::noop()))
    }

    #[tokio::test]
    async fn a_flood_makes_room_with_its_own() {
        let lobby = Lobby::of(3);
        let mut honest = lobby.enter();
        honest.seat.has_asked();
        let mut flood: Vec<Guest> = (0..5).map(|_| lobby.enter()).collect();
        assert!(stays(&mut honest));
        let stay: Vec<bool> = flood.iter_mut().map(stays).collect();
        assert_eq!(stay, [false, false, false, true, true], "the first of those that ask nothing");
        // Everybody has asked: who was silent longest goes.
        flood.iter().for_each(|guest| guest.seat.has_asked());
        std::thread::sleep(Duration::from_millis(3));
        honest.is_active();
        let late = lobby.enter();
        assert!(stays(&mut honest) && !stays(&mut flood[3]) && stays(&mut flood[4]));
        drop((flood, late));
        assert_eq!(lobby.locked().taken.len(), 1, "places are given back");
    }
}
