//! What both HTTP clients share: a careful client and bounded bodies.

use std::time::Duration;

use almoner_tls::Client as Tls;
use bytes::{Bytes, BytesMut};
use futures::{Stream, TryStreamExt};
use reqwest::{Client, Response, Url, redirect::Policy};

use crate::{MAX_BLOCK, StoreError, error::Place};

/// Silence after which a read is given up.
pub(crate) const IDLE: Duration = Duration::from_secs(60);

/// A client that follows no redirect (a firewall allows listed hosts, and a bearer token must
/// not travel) and uses no proxy on loopback. `silence` is how long an answer may be waited for, the sending of the
/// request counted, and each piece of it after that; callers that give none have limits of their own.
pub(crate) fn client(url: &Url, place: &Place, tls: &Tls, silence: Option<Duration>) -> Result<Client, StoreError> {
    let config = |detail: String| StoreError::Config { place: place.clone(), detail };
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(config("expected an http or https url with a host".into()));
    }
    let builder = tls.http(url.host_str().unwrap_or_default()).redirect(Policy::none());
    let builder = silence.into_iter().fold(builder, reqwest::ClientBuilder::read_timeout);
    builder.build().map_err(|e| config(plain(e)))
}

pub(crate) fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(almoner_tls::is_loopback)
}

/// `base` with `path` appended; what the base already has as a path stays in front.
pub(crate) fn join(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// An error's text and causes, without the URL: it may hold a password.
pub(crate) fn plain(error: reqwest::Error) -> String {
    use std::error::Error;
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

/// The body as it arrives.
pub(crate) fn stream(response: Response) -> impl Stream<Item = Result<Bytes, String>> + Send {
    response.bytes_stream().map_err(plain)
}

/// A body read into memory failed, or had more bytes than allowed.
pub(crate) enum BodyError {
    Broken(String),
    TooLong,
}

/// The whole body, at most `max` bytes of it.
pub(crate) async fn body(response: Response, max: usize) -> Result<Bytes, BodyError> {
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
    let mut out = BytesMut::with_capacity(announced.map_or(0, |length| length.min(max).min(MAX_BLOCK)));
    let mut input = std::pin::pin!(stream(response));
    while let Some(part) = input.try_next().await.map_err(BodyError::Broken)? {
        if part.len() > max - out.len() {
            return Err(BodyError::TooLong);
        }
        out.extend_from_slice(&part);
    }
    Ok(out.freeze())
}
