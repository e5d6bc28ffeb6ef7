//! One RPC call: POST, bounded answer, errors with the daemon's own words.

use std::{future::Future, pin::pin, time::Duration};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use reqwest::{
    Body, Client, RequestBuilder, Url,
    header::{AUTHORIZATION, HeaderValue},
    multipart::{Form, Part},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::answers;
use crate::{
    StoreError,
    error::Place,
    http::{self, BodyError},
};

const TIMEOUT: Duration = Duration::from_secs(300);
/// Bytes of an error answer that are read.
const FAILURE: usize = 16 << 10;

pub(super) struct Rpc {
    base: Url,
    /// Marked sensitive: prints as such, and is not kept in compressed header tables.
    bearer: Option<HeaderValue>,
    client: Client,
    place: Place,
    timeout: Duration,
}

impl std::fmt::Debug for Rpc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rpc").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Rpc {
    pub(super) fn new(base: Url, token: Option<String>) -> Result<Self, StoreError> {
        let place = Place::url("kubo", &base);
        let config = |detail: &str| StoreError::Config { place: place.clone(), detail: detail.to_owned() };
        if !http::is_loopback(&base) {
            if token.is_none() {
                return Err(config("the rpc is not on loopback: give its bearer token as well"));
            }
            if base.scheme() != "https" {
                return Err(config("the rpc is not on loopback: its token would be sent in the clear, use https"));
            }
        }
        let client = http::client(&base, &place, &almoner_tls::Client::default(), None)?;
        let bearer = match token {
            None => None,
            Some(token) => {
                let mut value = HeaderValue::try_from(format!("Bearer {token}"))
                    .map_err(|_| config("the bearer token has characters a header cannot hold"))?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        Ok(Self { base, bearer, client, place, timeout: TIMEOUT })
    }

    pub(super) fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// The daemon's own limit, a little below ours so that it can still say why.
    pub(super) fn timeout_arg(&self) -> String {
        format!("{}ms", (self.timeout.as_millis() * 9 / 10).max(1))
    }

    pub(super) fn place(&self) -> Place {
        self.place.clone()
    }

    pub(super) fn bad_answer(&self, call: &'static str, detail: String) -> StoreError {
        StoreError::BadAnswer { place: self.place.clone(), call, detail }
    }

    pub(super) async fn call(
        &self,
        call: &'static str,
        args: &[(&str, &str)],
        max: usize,
    ) -> Result<Bytes, StoreError> {
        self.run(call, self.request(call, args).timeout(self.timeout), max).await
    }

    /// Sends a file. It may take as long as it moves, and has the time of a call to be answered in after that.
    pub(super) async fn upload(
        &self,
        call: &'static str,
        args: &[(&str, &str)],
        file: impl Stream<Item = Result<Bytes, StoreError>> + Send + 'static,
        max: usize,
    ) -> Result<Bytes, StoreError> {
        let (moves, moved) = watch::channel(Instant::now());
        let file = file.inspect(move |_| _ = moves.send_replace(Instant::now()));
        let part = Part::stream(Body::wrap_stream(file)).file_name("almoner.car");
        let request = self.request(call, args).multipart(Form::new().part("file", part));
        match while_moving(self.run(call, request, max), moved, self.timeout).await {
            Some(answer) => answer,
            None => Err(self.failed(call, format!("nothing moved for {} s", self.timeout.as_secs_f32()))),
        }
    }

    fn request(&self, call: &str, args: &[(&str, &str)]) -> RequestBuilder {
        let mut url = http::join(&self.base, &format!("api/v0/{call}"));
        url.query_pairs_mut().extend_pairs(args);
        let request = self.client.post(url);
        match &self.bearer {
            Some(bearer) => request.header(AUTHORIZATION, bearer.clone()),
            None => request,
        }
    }

    async fn run(&self, call: &'static str, request: RequestBuilder, max: usize) -> Result<Bytes, StoreError> {
        let answer = request.send().await.map_err(|e| self.failed(call, http::plain(e)))?;
        let status = answer.status();
        if status.is_success() {
            return http::body(answer, max).await.map_err(|error| match error {
                BodyError::Broken(detail) => self.failed(call, detail),
                BodyError::TooLong => self.bad_answer(call, format!("the answer exceeds {max} bytes")),
            });
        }
        let message = match http::body(answer, FAILURE).await {
            Ok(body) => answers::failure(&body),
            Err(_) => String::new(),
        };
        let detail = format!("status {status}: {message}");
        if status.is_server_error() {
            return Err(self.failed(call, detail));
        }
        Err(self.bad_answer(call, detail))
    }

    fn failed(&self, call: &'static str, detail: String) -> StoreError {
        StoreError::Unreachable { place: self.place.clone(), what: call.to_owned(), detail }
    }
}

/// What comes of `work`; nothing once it has not moved for `patience`.
async fn while_moving<T>(
    work: impl Future<Output = T>,
    moved: watch::Receiver<Instant>,
    patience: Duration,
) -> Option<T> {
    let mut work = pin!(work);
    loop {
        let last = *moved.borrow();
        tokio::select! {
            // What is done by now is not given up.
            biased;
            done = &mut work => return Some(done),
            () = sleep_until(last + patience) => if *moved.borrow() == last {
                return None;
            },
        }
    }
}

/// Did the daemon itself refuse the call with a message holding `text`?
pub(super) fn says(error: &StoreError, text: &str) -> bool {
    matches!(error, StoreError::Unreachable { detail, .. }
        if detail.starts_with("status 5") && detail.contains(text))
}

#[cfg(test)]
mod tests {
    use std::{future, task::Poll};

    use super::*;

    /// With no patience at all: it must have moved between any two looks.
    #[tokio::test]
    async fn what_moves_is_not_given_up_and_what_stands_still_is() {
        let (moves, moved) = watch::channel(Instant::now());
        let mut left = 1000;
        let sending = future::poll_fn(|context| {
            if left == 0 {
                return Poll::Ready("sent");
            }
            left -= 1;
            moves.send_modify(|at| *at += Duration::from_nanos(1));
            context.waker().wake_by_ref();
            Poll::Pending
        });
        assert_eq!(while_moving(sending, moved.clone(), Duration::ZERO).await, Some("sent"));
        assert_eq!(while_moving(future::pending::<()>(), moved, Duration::ZERO).await, None);
    }
}
