//! What is held of messages before anybody has looked at them. Room for the largest that a path takes is had before the
//! first byte is read, and kept until the message is answered; it has so long to arrive.
//!
//! 1. A caller has room of its own for short messages and for one long one: half a message of a site holds up that site.
//! 2. All long ones have one room. Whoever finds none waits a while, and is told then to come again.
//! 3. Strangers, who may only enrol, have one room, and wait for none.
//!
//! Not protected: strangers from strangers, and long messages from callers with certificates who together send only halves.
//! In the clear nobody has room of its own: there everybody is this machine.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use almoner_proto::{UPLOAD, largest};
use almoner_tls::{Caller, Holder};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tonic::Status;

use crate::CoordinatorError;
use crate::service::refuse;

const KIB: usize = 1 << 10;
/// A message that is longer than this is a long one; a piece of an upload is not.
const SHORT_KIB: usize = 2 << 10;
const FULL: &str = "too many messages are on their way to the coordinator: come again";
const LATE: &str = "the message did not arrive in time: send it again";

/// How much is held, in KiB, and how long is waited.
#[derive(Clone, Copy, Debug)]
struct Limits {
    strangers: usize,
    long: usize,
    /// Of one caller's short ones.
    own: usize,
    /// For room.
    patience: Duration,
    /// For a message to arrive, and for each KiB of it: a line of 1 Mbit/s is quick enough.
    arrival: Duration,
    arrival_kib: Duration,
}

const LIMITS: Limits = Limits {
    strangers: 64 << 10,
    long: 512 << 10,
    own: 16 << 10,
    patience: Duration::from_secs(30),
    arrival: Duration::from_secs(30),
    arrival_kib: Duration::from_millis(8),
};

#[derive(Debug)]
pub(crate) struct Bounds {
    limits: Limits,
    strangers: Arc<Semaphore>,
    long: Arc<Semaphore>,
    own: Mutex<BTreeMap<Holder, Arc<Own>>>,
}

/// One caller's.
#[derive(Debug)]
struct Own {
    short: Arc<Semaphore>,
    long: Arc<Semaphore>,
}

/// Room that is taken, and whose it is.
#[derive(Debug, Default)]
struct Taken {
    _rooms: Vec<OwnedSemaphorePermit>,
    _own: Option<Arc<Own>>,
}

impl Default for Bounds {
    fn default() -> Self {
        Self::of(LIMITS)
    }
}

impl Bounds {
    fn of(limits: Limits) -> Self {
        let [strangers, long] = [limits.strangers, limits.long].map(|kib| Arc::new(Semaphore::new(kib)));
        Self { limits, strangers, long, own: Mutex::default() }
    }

    fn own(&self, holder: Holder) -> Arc<Own> {
        // Entries are added and taken away in one step each: nothing is left half done.
        let mut all = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(&holder) {
            // Whoever has nothing on its way is forgotten.
            all.retain(|_, own| Arc::strong_count(own) > 1);
        }
        let new = || Own { short: Arc::new(Semaphore::new(self.limits.own)), long: Arc::new(Semaphore::new(1)) };
        all.entry(holder).or_insert_with(|| Arc::new(new())).clone()
    }

    /// Room for one message; none if there is none in time.
    async fn take(&self, path: &str, kib: usize, caller: Option<&Caller>) -> Option<Taken> {
        // The largest message has far fewer KiB.
        let kib = u32::try_from(kib).ok()?;
        if path.starts_with("/almoner.v0.Enrolment/") {
            let room = self.strangers.clone().try_acquire_many_owned(kib).ok()?;
            return Some(Taken { _rooms: vec![room], _own: None });
        }
        let own = caller.and_then(|caller| caller.peer.as_ref()).map(|peer| self.own(peer.holder()));
        let is_long = kib as usize > SHORT_KIB;
        let mut wanted: Vec<(&Arc<Semaphore>, u32)> = Vec::new();
        wanted.extend(own.as_ref().map(|own| if is_long { (&own.long, 1) } else { (&own.short, kib) }));
        wanted.extend(is_long.then_some((&self.long, kib)));
        let mut rooms = Vec::new();
        for (room, places) in wanted {
            rooms.push(timeout(self.limits.patience, room.clone().acquire_many_owned(places)).await.ok()?.ok()?);
        }
        Some(Taken { _rooms: rooms, _own: own })
    }
}

/// Lets a message in once there is room for it.
pub(crate) async fn admit(State(bounds): State<Arc<Bounds>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let Some(most) = largest(path) else { return next.run(request).await };
    let kib = most.div_ceil(KIB);
    let Some(_taken) = bounds.take(path, kib, request.extensions().get()).await else {
        return told(FULL).into_http();
    };
    // An upload takes as long as it takes, while the other end says that it is there.
    if path == UPLOAD {
        return next.run(request).await;
    }
    let within = bounds.limits.arrival + bounds.limits.arrival_kib * u32::try_from(kib).unwrap_or(u32::MAX);
    next.run(request.map(|body| in_time(body, within))).await
}

fn told(why: &'static str) -> Status {
    refuse(CoordinatorError::NotNow(why))
}

/// A body that breaks off if it has not ended in time.
fn in_time(body: Body, within: Duration) -> Body {
    let whole = body.into_data_stream().map_err(axum::BoxError::from).map(Some).chain(stream::iter([None]));
    // Behind the end nothing is read; this is behind what has no end.
    let late = stream::once(async { Some(Err(told(LATE).into())) });
    let pieces = whole.take_until(sleep(within)).chain(late);
    Body::from_stream(pieces.take_while(|piece| std::future::ready(piece.is_some())).filter_map(std::future::ready))
}

#[cfg(test)]
mod tests;
