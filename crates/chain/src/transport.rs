//! Questions to a node over HTTP, asked as alloy's own transport asks them, but for one thing: of an answer no more is
//! held than fits. A node, which may be a stranger's, could otherwise send as much as a line carries until time is up.

use std::task::{Context, Poll};
use std::time::Duration;

use alloy::rpc::json_rpc::{RequestPacket, ResponsePacket};
use alloy::transports::http::reqwest::{Client, Response, Url, header};
use alloy::transports::{TransportError, TransportErrorKind, TransportFut};
use tower::Service;

/// Of one answer, a batch's too: far above what a window of logs takes.
const MOST: usize = 64 << 20;
/// Of what is no answer, in an error's text.
const SHOWN: usize = 1 << 10;

/// A node that sends more than is held.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the answer of {node} is longer than {most} bytes")]
pub(crate) struct TooLong {
    pub(crate) node: String,
    pub(crate) most: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Bounded {
    client: Client,
    url: Url,
    most: usize,
}

impl Bounded {
    pub(crate) fn new(client: Client, url: Url) -> Self {
        Self { client, url, most: MOST }
    }

    async fn ask(self, question: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let sent = self.client.post(self.url.clone()).json(&question).headers(question.headers()).send().await;
        let answer = sent.map_err(TransportErrorKind::custom)?;
        let (status, later) = (answer.status(), retry_after(&answer));
        let body = self.whole(answer).await;
        if status.is_success() {
            let body = body?;
            return serde_json::from_slice(&body).map_err(|error| TransportError::deser_err(error, shown(&body)));
        }
        let refused = |text| TransportErrorKind::http_error_with_retry_after(status.as_u16(), text, later);
        let body = body.map_err(|error| refused(format!("<failed to read response body: {error}>")))?;
        // Some nodes put an answer that is an error under a status that is one.
        match serde_json::from_slice::<ResponsePacket>(&body) {
            Ok(answer) if answer.is_error() => Ok(answer),
            _ => Err(refused(shown(&body))),
        }
    }

    async fn whole(&self, mut answer: Response) -> Result<Vec<u8>, TransportError> {
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(TransportErrorKind::custom)? {
            if piece.len() > self.most - body.len() {
                // The path may hold a key.
                let node = self.url.origin().ascii_serialization();
                return Err(TransportErrorKind::non_retryable(TooLong { node, most: self.most }));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }
}

fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(body.get(..SHOWN).unwrap_or(body)).into_owned()
}

/// In seconds, where the node says so.
fn retry_after(answer: &Response) -> Option<Duration> {
    let value = answer.headers().get(header::RETRY_AFTER)?;
    value.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

impl Service<RequestPacket> for Bounded {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, question: RequestPacket) -> Self::Future {
        Box::pin(self.clone().ask(question))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use crate::{LedgerError, chain_id, connect};

    /// A node that answers everything with this status, and so many spaces before the answer.
    async fn node(status: &'static str, spaces: usize) -> String {
        const ANSWER: &[u8] = br#"{"jsonrpc":"2.0","id":0,"result":"0x539"}"#;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://user:secret@{}/secret", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut line, _)) = listener.accept().await {
                // The question is short, and comes in one piece or two.
                let mut read = [0; 4096];
                let _ = line.read(&mut read).await;
                let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n");
                let _ = line.write_all(head.as_bytes()).await;
                let piece = vec![b' '; 1 << 20];
                let mut left = spaces;
                while left > 0 && line.write_all(&piece[..left.min(piece.len())]).await.is_ok() {
                    left -= left.min(piece.len());
                }
                let _ = line.write_all(ANSWER).await;
            }
        });
        url
    }

    #[test]
    fn an_answer_without_end_is_refused_with_the_nodes_name() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            assert_eq!(chain_id(&connect(&node("200 OK", 1 << 20).await).unwrap()).await.unwrap(), 0x539);
            let url = node("200 OK", usize::MAX).await;
            let error = chain_id(&connect(&url).unwrap()).await.unwrap_err();
            assert!(matches!(error, LedgerError::TooLong { .. }) && !error.is_retryable(), "{error}");
            let said = error.to_string();
            assert!(said.contains("http://127.0.0.1:") && said.contains("name another node (rpc)"), "{said}");
            assert!(!said.contains("secret"), "{said}");
        });
    }

    #[test]
    fn a_refusal_without_end_is_a_short_error() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let error = chain_id(&connect(&node("403 Forbidden", usize::MAX).await).unwrap()).await.unwrap_err();
            assert!(error.is_retryable() && error.to_string().len() < 1000, "{error}");
            let error = chain_id(&connect(&node("403 Forbidden", 1 << 20).await).unwrap()).await.unwrap_err();
            assert!(error.to_string().len() < 2000, "{error}");
        });
    }
}
