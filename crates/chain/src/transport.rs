//! Questions to a node over HTTP, asked as alloy's own transport asks them, but for two things. Of an answer no more is
//! held than fits: a node, which may be a stranger's, could otherwise send as much as a line carries until time is up. And
//! the same question is the same bytes, whoever asks it: then a coordinator can ask its node once for many sites.

use std::task::{Context, Poll};
use std::time::Duration;

use alloy::rpc::json_rpc::{Id, RequestPacket, Response as Answer, ResponsePacket, SerializedRequest};
use alloy::transports::http::reqwest::{Client, Response, Url, header};
use alloy::transports::{TransportError, TransportErrorKind, TransportFut};
use serde::Serialize;
use serde_json::value::RawValue;
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
        let asked = self.client.post(self.url.clone()).headers(question.headers());
        let sent = match &question {
            RequestPacket::Single(call) => asked.json(&Call::numbered((0, call))),
            RequestPacket::Batch(calls) => {
                asked.json(&calls.iter().enumerate().map(Call::numbered).collect::<Vec<_>>())
            }
        };
        let sent = sent.send().await;
        let answer = sent.map_err(TransportErrorKind::custom)?;
        let (status, later) = (answer.status(), retry_after(&answer));
        let body = self.whole(answer).await;
        if status.is_success() {
            let body = body?;
            let answer = serde_json::from_slice(&body);
            let answer = answer.map_err(|error| TransportError::deser_err(error, shown(&body)))?;
            return Ok(as_asked(&question, answer));
        }
        let refused = |text| TransportErrorKind::http_error_with_retry_after(status.as_u16(), text, later);
        let body = body.map_err(|error| refused(format!("<failed to read response body: {error}>")))?;
        // Some nodes put an answer that is an error under a status that is one.
        match serde_json::from_slice::<ResponsePacket>(&body) {
            Ok(answer) if answer.is_error() => Ok(as_asked(&question, answer)),
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

/// A call whose id is its place in the question: a connection counts calls, and no two would be alike.
#[derive(Serialize)]
struct Call<'a> {
    jsonrpc: &'static str,
    id: u64,
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<&'a RawValue>,
}

impl<'a> Call<'a> {
    fn numbered((place, call): (usize, &'a SerializedRequest)) -> Self {
        Self { jsonrpc: "2.0", id: place as u64, method: call.method(), params: call.params() }
    }
}

/// The answer under the ids that were asked with.
fn as_asked(question: &RequestPacket, mut answer: ResponsePacket) -> ResponsePacket {
    let calls = question.requests();
    let named = |answer: &mut Answer| {
        let place = match answer.id {
            Id::Number(place) => usize::try_from(place).ok(),
            // To a single call there is but one.
            _ => (calls.len() == 1).then_some(0),
        };
        match place.and_then(|place| calls.get(place)) {
            Some(call) => answer.id = call.id().clone(),
            // Not asked for: alloy leaves out what has no id of a call.
            None => answer.id = Id::None,
        }
    };
    match &mut answer {
        ResponsePacket::Single(answer) => named(answer),
        ResponsePacket::Batch(answers) => answers.iter_mut().for_each(named),
    }
    answer
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
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use alloy::providers::Provider;
    use alloy::rpc::client::BatchRequest;
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

    /// A node that remembers what it was asked, and answers a batch from behind.
    async fn listening() -> (String, Arc<Mutex<Vec<serde_json::Value>>>) {
        let (listener, heard) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), Arc::<Mutex<Vec<_>>>::default());
        let (url, hears) = (format!("http://{}", listener.local_addr().unwrap()), heard.clone());
        tokio::spawn(async move {
            while let Ok((mut line, _)) = listener.accept().await {
                let mut read = Vec::new();
                let question: serde_json::Value = loop {
                    line.read_buf(&mut read).await.unwrap();
                    let body = read.windows(4).position(|end| end == b"\r\n\r\n").map(|at| &read[at + 4..]);
                    // Until all of it is here.
                    if let Some(question) = body.and_then(|body| serde_json::from_slice(body).ok()) {
                        break question;
                    }
                };
                let answer = |call: &serde_json::Value| match call["method"].as_str() {
                    Some("eth_chainId") => serde_json::json!({"jsonrpc": "2.0", "id": call["id"], "result": "0x539"}),
                    _ => serde_json::json!({"jsonrpc": "2.0", "id": call["id"], "result": "0x7"}),
                };
                let answer = match question.as_array() {
                    Some(calls) => calls.iter().rev().map(answer).collect(),
                    None => answer(&question),
                };
                hears.lock().unwrap().push(question);
                let answer = answer.to_string();
                let length = answer.len();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}");
                line.write_all(head.as_bytes()).await.unwrap();
            }
        });
        (url, heard)
    }

    #[test]
    fn whoever_asks_the_same_asks_in_the_same_words() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (url, heard) = listening().await;
            for node in [connect(&url).unwrap(), connect(&url).unwrap()] {
                assert_eq!(chain_id(&node).await.unwrap(), 0x539);
                assert_eq!(chain_id(&node).await.unwrap(), 0x539);
                let mut batch = BatchRequest::new(node.client());
                let number = batch.add_call::<_, String>("eth_blockNumber", &()).unwrap();
                let chain = batch.add_call::<_, String>("eth_chainId", &()).unwrap();
                batch.send().await.unwrap();
                assert_eq!((number.await.unwrap(), chain.await.unwrap()), ("0x7".into(), "0x539".into()));
            }
            let heard = heard.lock().unwrap();
            assert_eq!(heard.len(), 6);
            assert_eq!(heard[0], heard[1], "the first and a later question of one");
            assert_eq!(heard[..3], heard[3..], "questions of two");
        });
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
    fn an_answer_that_is_short_only_on_the_line_is_refused_too() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packed.write_all(&vec![b' '; super::MOST + 1]).unwrap();
            let packed = packed.finish().unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            tokio::spawn(async move {
                let (mut line, _) = listener.accept().await.unwrap();
                let mut read = [0; 4096];
                let asked = line.read(&mut read).await.unwrap();
                assert!(String::from_utf8_lossy(&read[..asked]).to_lowercase().contains("accept-encoding: gzip"));
                let length = packed.len();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {length}\r\n\r\n");
                line.write_all(&[head.as_bytes(), &packed].concat()).await.unwrap();
                line.flush().await.unwrap();
            });
            let error = chain_id(&connect(&url).unwrap()).await.unwrap_err();
            assert!(matches!(error, LedgerError::TooLong { .. }), "{error}");
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
