//! Sizes both ends agree on.

use std::sync::Arc;
use std::time::Duration;

use almoner_protocol::MAX_PARAMETERS;
use tonic::Request;
use tonic::transport::{Channel, Endpoint, Server};

use crate::convert::{MAX_DIRECTIONS, MAX_UPLOADS};
use crate::wire::aggregators_client::AggregatorsClient;
use crate::wire::aggregators_server::{Aggregators, AggregatorsServer};
use crate::wire::enrolment_client::EnrolmentClient;
use crate::wire::enrolment_server::{Enrolment, EnrolmentServer};
use crate::wire::researchers_client::ResearchersClient;
use crate::wire::researchers_server::{Researchers, ResearchersServer};
use crate::wire::sites_client::SitesClient;
use crate::wire::sites_server::{Sites, SitesServer};

/// Largest piece of a stream.
pub const MAX_CHUNK: usize = 1 << 20;
/// Largest single message, whatever the federation. A reveal of a larger model needs its `parameters` on top.
pub const MAX_MESSAGE: usize = 8 << 20;
/// Largest first model of a create order: 16 million parameters of 4 bytes.
pub const MAX_INITIAL: usize = 64 << 20;
/// Blocks of one aggregator job; a job starts at a multiple of it, so that its leaves have a subtree of their own.
pub const RANGE_BLOCKS: u32 = 256;
/// Leaves (128 words) of one block of 2048 words.
const BLOCK_LEAVES: u64 = 16;
/// HTTP/2 windows: what may be on its way, and what a server holds of each upload it is slower than. The default of 64 KiB
/// holds a stream to 2.6 Mbit/s on a line of 200 ms, this to 42, which is what a hospital may send.
pub const STREAM_WINDOW: u32 = 1 << 20;
pub const CONNECTION_WINDOW: u32 = 2 << 20;
/// Of what a server receives, and what a caller can have it set aside for a frame that never comes. The default of
/// 16 KiB cuts a chunk into sixty-four pieces.
const MAX_FRAME: u32 = 1 << 18;

/// Requests of one connection at once.
const MAX_STREAMS: u32 = 128;
/// Silence after which the other end is asked whether it is there; it keeps a connection through a firewall that
/// forgets idle ones, too.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// How long it has to say so: what is sent before the question may have to pass a slow line first (4 MiB at 1 Mbit/s).
const KEEP_ALIVE_ANSWER: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest that a caller waits for any answer. A call on a line that is closed in the same moment may get lost in
/// HTTP/2's client, and no keep-alive speaks for it. An upload that takes longer goes on where it was.
const LONGEST: Duration = Duration::from_secs(3600);
/// How long one short question may take, a slow line and a coordinator's wait for its chain included.
const ANSWER: Duration = Duration::from_secs(300);

/// Most bytes of one message where the model has `parameters` parameters (a reveal carries half a byte of each).
fn message_limit(parameters: u32) -> usize {
    MAX_MESSAGE.saturating_add(parameters.div_ceil(2) as usize)
}

/// Leaves of the subtree that a range's root stands for: a full range's, or the whole padded row of a model that
/// fits one range.
pub fn range_leaves(parameters: u32) -> u64 {
    let blocks = u64::from(parameters.div_ceil(2048));
    (blocks.min(RANGE_BLOCKS.into()) * BLOCK_LEAVES).next_power_of_two()
}

/// A client's transport settings.
pub fn endpoint(endpoint: Endpoint) -> Endpoint {
    patient(endpoint, LONGEST)
}

fn patient(endpoint: Endpoint, longest: Duration) -> Endpoint {
    endpoint
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_ANSWER)
        .keep_alive_while_idle(true)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(longest)
        .tcp_nodelay(true)
}

/// A server's transport settings.
pub fn server() -> Server {
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME)
        .max_concurrent_streams(MAX_STREAMS)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE_ANSWER))
        .tcp_nodelay(true)
}

/// A short question, which is given up after five minutes: every one may be asked again. Not for uploads, reveals and
/// notices, which take as long as they take while the other end says that it is there; nor for a claim, which waits
/// for a block.
pub fn timely<T>(message: impl Into<T>) -> Request<T> {
    let mut request = Request::new(message.into());
    request.set_timeout(ANSWER);
    request
}

pub fn sites_client(channel: Channel, parameters: u32) -> SitesClient<Channel> {
    SitesClient::new(channel)
        .max_decoding_message_size(message_limit(0))
        .max_encoding_message_size(message_limit(parameters))
}

/// Of what is sent to sites' and researchers' services, all but what is `LONG`: a federation file is the longest.
const MAX_SHORT: usize = 80 << 10;
/// Around the one long field of a message.
const FRAME: usize = 4 << 10;

pub const UPLOAD: &str = "/almoner.v0.Sites/Upload";
pub const CREATE: &str = "/almoner.v0.Researchers/Create";
/// Sites' long messages, and how long they are at most. An upload's is one of a stream.
pub const SITES_LONG: [(&str, usize); 3] = [
    (UPLOAD, MAX_CHUNK + FRAME),
    ("/almoner.v0.Sites/AnswerScores", MAX_UPLOADS * MAX_DIRECTIONS * 8 + FRAME),
    // The round itself checks the exact length.
    ("/almoner.v0.Sites/Reveal", MAX_PARAMETERS as usize / 2 + FRAME),
];

/// The largest message that is taken at a path; none where it has no bound of its own here.
pub fn largest(path: &str) -> Option<usize> {
    let long = SITES_LONG.into_iter().find(|(long, _)| *long == path).map(|(_, most)| most);
    let service = |name: &str| path.strip_prefix("/almoner.v0.").is_some_and(|rest| rest.starts_with(name));
    match path {
        CREATE => Some(MAX_CREATE),
        _ if service("Sites/") || service("Researchers/") => Some(long.unwrap_or(MAX_SHORT)),
        _ if service("Enrolment/") => Some(MAX_ENROLMENT_REQUEST),
        _ => None,
    }
}

/// For all paths but those of `SITES_LONG`.
pub fn sites_server<T: Sites>(service: Arc<T>) -> SitesServer<T> {
    long_sites_server(service, MAX_SHORT)
}

/// For a path of `SITES_LONG`.
pub fn long_sites_server<T: Sites>(service: Arc<T>, most: usize) -> SitesServer<T> {
    SitesServer::from_arc(service).max_decoding_message_size(most).max_encoding_message_size(message_limit(0))
}

pub fn researchers_client(channel: Channel) -> ResearchersClient<Channel> {
    ResearchersClient::new(channel).max_decoding_message_size(MAX_MESSAGE)
}

const MAX_CREATE: usize = MAX_INITIAL + MAX_SHORT;

/// For all paths but `CREATE`.
pub fn researchers_server<T: Researchers>(service: Arc<T>) -> ResearchersServer<T> {
    ResearchersServer::from_arc(service).max_decoding_message_size(MAX_SHORT)
}

/// For `CREATE`.
pub fn create_server<T: Researchers>(service: Arc<T>) -> ResearchersServer<T> {
    ResearchersServer::from_arc(service).max_decoding_message_size(MAX_CREATE)
}

/// A job names every participant: 65,535 of them take more than `MAX_MESSAGE`.
const MAX_JOB: usize = 2 * MAX_MESSAGE;

pub fn aggregators_client(channel: Channel) -> AggregatorsClient<Channel> {
    AggregatorsClient::new(channel).max_decoding_message_size(MAX_JOB)
}

pub fn aggregators_server<T: Aggregators>(service: T) -> AggregatorsServer<T> {
    AggregatorsServer::new(service).max_decoding_message_size(MAX_MESSAGE).max_encoding_message_size(MAX_JOB)
}

/// Of everything about enrolment a certificate is the longest, and it has strangers for callers.
const MAX_ENROLMENT: usize = 128 << 10;
/// Of what strangers send a request for a certificate is the longest.
const MAX_ENROLMENT_REQUEST: usize = 16 << 10;

pub fn enrolment_client(channel: Channel) -> EnrolmentClient<Channel> {
    EnrolmentClient::new(channel).max_decoding_message_size(MAX_ENROLMENT)
}

pub fn enrolment_server<T: Enrolment>(service: T) -> EnrolmentServer<T> {
    EnrolmentServer::new(service).max_decoding_message_size(MAX_ENROLMENT_REQUEST)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic::{Code, Response, Status, Streaming};

    use super::*;
    use crate::wire;

    /// Its line is up, and it answers nothing.
    struct Silent;

    #[tonic::async_trait]
    impl Aggregators for Silent {
        async fn lease(&self, _: Request<wire::LeaseRequest>) -> Result<Response<wire::Job>, Status> {
            std::future::pending().await
        }

        async fn post(&self, _: Request<Streaming<wire::ResultChunk>>) -> Result<Response<wire::Empty>, Status> {
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn no_answer_is_waited_for_without_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = server().add_service(AggregatorsServer::new(Silent));
        tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(listener)));
        let at = Endpoint::from_shared(url).unwrap();
        let mut client = aggregators_client(patient(at, Duration::from_millis(50)).connect_lazy());
        let asked = client.lease(wire::LeaseRequest::default());
        let ended = tokio::time::timeout(Duration::from_secs(60), asked).await.expect("an end").unwrap_err();
        assert!(matches!(ended.code(), Code::Cancelled | Code::DeadlineExceeded), "{ended}");
    }
}
