//! Room for calls at `/rpc` of a process of its own, whoever answers them: a node behind a coordinator, an embedded chain,
//! a finished run. What is passed on and what is not is told apart with a place taken. Each is
//! bounded in its length, all of them in what they take in memory from their first byte on, in how many are answered at
//! once, and in how long any of it lasts, whether or not the caller reads. Whoever finds no room is told to ask again,
//! which a reader of the chain does by itself. Answers are compressed for those who take them so: the chain's JSON is
//! mostly zeros in hex.
//!
//! Not protected: callers of `/rpc` from each other, who have no names here. A site that must not wait for others names
//! a node of its own.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use almoner_tls::Caller;
use axum::Router;
use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::SizeAbove;

/// As large as the embedded chain itself reads.
pub(crate) const MAX_CALL_BYTES: usize = 1 << 20;
/// A call costs this at least.
const LEAST_BYTES: usize = 1 << 10;
/// An answer that is here whole, and takes no more than a connection holds of a longer one, needs no place any longer.
pub(crate) const SHORT: usize = 64 << 10;
/// What is less fits into a packet as it is.
const WORTH_COMPRESSING: u16 = 1 << 10;
/// Of an answer, on their way.
const PIECES: usize = 4;

pub(crate) const ROOM: Room =
    Room { calls: 128, patience: Duration::from_secs(10), answer: Duration::from_secs(60), memory_kib: 32 << 10 };

/// How much is taken at once.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    /// That are answered.
    pub(crate) calls: usize,
    /// For a call to arrive, and then for a place to be answered.
    pub(crate) patience: Duration,
    /// For a whole answer: whoever reads it more slowly does not keep others waiting.
    pub(crate) answer: Duration,
    /// What all calls take that arrive, or wait.
    pub(crate) memory_kib: usize,
}

impl Room {
    /// These routes, of which every request is let in by this.
    pub(crate) fn before(self, routes: Router) -> Router {
        let [calls, memory] = [self.calls, self.memory_kib].map(|places| Arc::new(Semaphore::new(places)));
        let compressed = CompressionLayer::new().gzip(true).quality(CompressionLevel::Fastest);
        routes
            .layer(from_fn_with_state(Rooms { calls, memory, room: self }, admit))
            .layer(compressed.compress_when(SizeAbove::new(WORTH_COMPRESSING)))
    }
}

#[derive(Clone)]
struct Rooms {
    calls: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    room: Room,
}

impl Rooms {
    /// Memory for a call of this length.
    fn memory(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let kib = u32::try_from(bytes.max(LEAST_BYTES).div_ceil(1 << 10)).ok()?;
        self.memory.clone().try_acquire_many_owned(kib).ok()
    }

    /// A place to be answered; none if there is none in time.
    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        timeout(self.room.patience, self.calls.clone().acquire_owned()).await.ok()?.ok()
    }
}

async fn admit(State(rooms): State<Rooms>, request: Request, next: Next) -> Response {
    const FULL: &str = "too many ask this chain at once: ask again, or name a node of your own (rpc)\n";
    let full = || (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], FULL).into_response();
    let (mut parts, body) = request.into_parts();
    let said = parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let most = said.unwrap_or(MAX_CALL_BYTES);
    if most > MAX_CALL_BYTES {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    }
    let Some(memory) = rooms.memory(most) else { return full() };
    let body = match timeout(rooms.room.patience, to_bytes(body, most)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        Err(_) => return StatusCode::REQUEST_TIMEOUT.into_response(),
    };
    let Some(place) = rooms.place().await else { return full() };
    let caller = parts.extensions.get::<Caller>().cloned().unwrap_or_default();
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    let call = next.run(Request::from_parts(parts, Body::from(body)));
    // Whoever hangs up takes its call back from nobody who works on it: it keeps its room until that is done.
    let answered = tokio::spawn(async move {
        let answer = call.await;
        drop(memory);
        (answer, place)
    });
    let Ok((answer, place)) = answered.await else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let (answer, body) = answer.into_parts();
    if body.size_hint().upper().is_some_and(|most| most <= SHORT as u64) {
        return Response::from_parts(answer, body);
    }
    Response::from_parts(answer, passed_on(body, place, rooms.room.answer, caller))
}

/// An answer as it comes, a few pieces of it held here. The place is given back with its last byte or when its time is over,
/// also if nobody reads: then the rest is an error, so that nobody takes a part for the whole, and the caller is hung up on,
/// for whom HTTP would keep what it has taken of it.
fn passed_on(answer: Body, place: OwnedSemaphorePermit, within: Duration, caller: Caller) -> Body {
    let (give, take) = mpsc::channel(PIECES);
    tokio::spawn(async move {
        let _place = place;
        let mut pieces = answer.into_data_stream();
        let whole = async {
            while let Some(piece) = pieces.next().await {
                if give.send(Some(piece.map_err(io::Error::other))).await.is_err() {
                    return;
                }
            }
            // The reader may be gone.
            let _ = give.send(None).await;
        };
        if timeout(within, whole).await.is_err() {
            caller.hang_up();
        }
    });
    let cut = || io::Error::new(io::ErrorKind::TimedOut, "the answer was not read in time");
    // Behind the end nothing is read; this is behind what has no end.
    let ended = tokio_stream::iter([Some(Err(cut()))]);
    let pieces = ReceiverStream::new(take).chain(ended).take_while(Option::is_some);
    Body::from_stream(pieces.filter_map(|piece| piece))
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use axum::body::Bytes;
    use axum::routing::post;
    use tokio_stream::wrappers::UnboundedReceiverStream;

    use super::*;

    async fn served(room: Room, routes: Router) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/rpc", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, room.before(routes)).await });
        url
    }

    fn echo() -> Router {
        Router::new().route("/rpc", post(async |body: Bytes| body))
    }

    #[tokio::test]
    async fn a_call_is_passed_on_whole_and_one_that_is_too_long_is_refused() {
        let url = served(ROOM, echo()).await;
        let send = |bytes: usize| reqwest::Client::new().post(&url).body(vec![b'1'; bytes]).send();
        for length in [0, 1, MAX_CALL_BYTES] {
            let answer = send(length).await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            assert_eq!(answer.bytes().await.unwrap().len(), length);
        }
        assert_eq!(send(MAX_CALL_BYTES + 1).await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test]
    async fn long_answers_are_compressed_for_those_who_take_them_so() {
        let zeros = || vec![b'0'; 100 << 10];
        let url = served(ROOM, Router::new().route("/rpc", post(async move || zeros()))).await;
        let ask =
            async |client: reqwest::ClientBuilder| client.build().unwrap().post(&url).body("1").send().await.unwrap();
        let plain = ask(reqwest::Client::builder().no_gzip()).await;
        assert!(!plain.headers().contains_key(header::CONTENT_ENCODING));
        assert_eq!(plain.bytes().await.unwrap(), zeros());
        // As it is on the wire.
        let raw = reqwest::Client::builder().no_gzip().build().unwrap().post(&url).body("1");
        let raw = raw.header(header::ACCEPT_ENCODING, "gzip").send().await.unwrap();
        assert_eq!(raw.headers()[header::CONTENT_ENCODING], "gzip");
        assert!(raw.bytes().await.unwrap().len() < 2 << 10);
        assert_eq!(ask(reqwest::Client::builder()).await.bytes().await.unwrap(), zeros());
    }

    #[tokio::test]
    async fn halves_of_calls_hold_so_much_and_no_longer_than_they_may() {
        let room = Room { patience: Duration::from_secs(3), memory_kib: 2 << 10, ..ROOM };
        let url = served(room, echo()).await;
        let client = reqwest::Client::new();
        // Bodies of no stated length that say nothing, and so take the room of the longest.
        let halves = [(); 2].map(|()| {
            let (said, body) = tokio::sync::mpsc::unbounded_channel::<io::Result<Vec<u8>>>();
            let body = reqwest::Body::wrap_stream(UnboundedReceiverStream::new(body));
            let asked = tokio::spawn(client.post(&url).body(body).send());
            (said, asked)
        });
        let ask = async || client.post(&url).body("1").send().await.unwrap().status();
        loop {
            if ask().await == StatusCode::SERVICE_UNAVAILABLE {
                break;
            }
            assert!(halves.iter().all(|(_, asked)| !asked.is_finished()), "both were over before anybody was refused");
        }
        for (said, asked) in halves {
            // It stays open until it was refused.
            assert_eq!(asked.await.unwrap().unwrap().status(), StatusCode::REQUEST_TIMEOUT);
            drop(said);
        }
        assert_eq!(ask().await, StatusCode::OK, "room is given back");
    }

    #[tokio::test]
    async fn whoever_hangs_up_gives_no_place_back_before_its_call_is_done() {
        let room = Room { calls: 1, patience: Duration::from_millis(50), ..ROOM };
        let (asked, done) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let [asks, waits] = [asked.clone(), done.clone()];
        let work = move || async move {
            // On a thread of its own, as the embedded chain does: nobody ends that.
            let working = tokio::spawn(async move {
                asks.add_permits(1);
                waits.acquire().await.unwrap().forget();
            });
            working.await.unwrap();
        };
        let url = served(room, Router::new().route("/rpc", post(work))).await;
        let client = reqwest::Client::new();
        let ask = || client.post(&url).body("1").send();
        let first = tokio::spawn(ask());
        asked.acquire().await.unwrap().forget();
        first.abort();
        let _ = first.await;
        assert_eq!(ask().await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
        done.add_permits(2);
        while ask().await.unwrap().status() != StatusCode::OK {
            done.add_permits(1);
        }
    }

    #[tokio::test]
    async fn so_many_are_answered_at_once() {
        let room = Room { calls: 1, patience: Duration::from_millis(50), ..ROOM };
        let routes = Router::new().route("/rpc", post(async || pending::<()>().await));
        let url = served(room, routes).await;
        let client = reqwest::Client::new();
        let ask = || client.post(&url).body("1").send();
        let (first, second) = (tokio::spawn(ask()), tokio::spawn(ask()));
        // Which of them is the first is theirs to say.
        let refused = tokio::select! { one = first => one, other = second => other };
        assert_eq!(refused.unwrap().unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
