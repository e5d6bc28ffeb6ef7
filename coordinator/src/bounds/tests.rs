use std::time::SystemTime;

use almoner_protocol::{Address, B256};
use almoner_tls::{Peer, Role};
use axum::body::{Bytes, to_bytes};
use axum::{Router, middleware};
use tonic::codegen::Service;

use super::*;

const REVEAL: &str = "/almoner.v0.Sites/Reveal";
const JOIN: &str = "/almoner.v0.Sites/Join";
const LOGIN: &str = "/almoner.v0.Enrolment/LoginStart";
/// Room for two reveals of all, for two short messages of each caller, and for three strangers.
const ROOM: Limits = Limits { strangers: 48, long: 80 << 10, own: 170, patience: Duration::from_millis(50), ..LIMITS };

/// Answers once it has read a whole message.
fn served(limits: Limits) -> Router {
    let read = async |request: Request| match to_bytes(request.into_body(), usize::MAX).await {
        Ok(_) => Response::new(Body::from("read")),
        Err(error) => Status::from_error(Box::new(error)).into_http(),
    };
    let bounds = Arc::new(Bounds::of(limits));
    Router::new().fallback(read).layer(middleware::from_fn_with_state(bounds, admit))
}

fn site(number: u8) -> Caller {
    let named = Some((Role::Site, Address::repeat_byte(number)));
    Caller::known(Some(Peer { named, fingerprint: B256::ZERO, late: SystemTime::UNIX_EPOCH }), None)
}

async fn send(mut router: Router, path: &str, caller: Caller, body: Body) -> String {
    let request = Request::builder().uri(path).extension(caller).body(body).unwrap();
    let response = router.call(request).await.unwrap();
    match response.headers().get("grpc-message") {
        Some(text) => text.to_str().unwrap().replace("%20", " "),
        None => String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().into()).unwrap(),
    }
}

/// Sends a half of a message, and no more.
fn half(router: &Router, path: &'static str, caller: Caller) -> tokio::task::JoinHandle<String> {
    let begun = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"half"))]).chain(stream::pending());
    tokio::spawn(send(router.clone(), path, caller, Body::from_stream(begun)))
}

#[tokio::test]
async fn half_a_message_of_a_site_holds_up_that_site_and_all_of_them_no_more_than_fits() {
    let router = served(ROOM);
    let whole = |path: &'static str, caller| send(router.clone(), path, caller, Body::from("whole"));
    let first = half(&router, REVEAL, site(1));
    tokio::task::yield_now().await;
    assert_eq!(whole(REVEAL, site(1)).await, FULL);
    assert_eq!(whole(REVEAL, site(2)).await, "read");
    let second = half(&router, REVEAL, site(2));
    tokio::task::yield_now().await;
    assert_eq!(whole(REVEAL, site(3)).await, FULL, "there is room for two");
    // Of short ones each has its own.
    let short = [half(&router, JOIN, site(1)), half(&router, JOIN, site(1))];
    tokio::task::yield_now().await;
    assert_eq!(whole(JOIN, site(1)).await, FULL);
    assert_eq!(whole(JOIN, site(2)).await, "read");
    for held in short.into_iter().chain([first, second]) {
        held.abort();
        let _ = held.await;
    }
    assert_eq!(whole(REVEAL, site(3)).await, "read", "room is given back");
    assert_eq!(whole(JOIN, site(1)).await, "read");
}

#[tokio::test]
async fn strangers_who_send_halves_are_cut_and_others_are_told_to_come_again() {
    let limits = Limits { arrival: Duration::from_millis(200), arrival_kib: Duration::ZERO, ..ROOM };
    let router = served(limits);
    let login = || send(router.clone(), LOGIN, Caller::default(), Body::from("whole"));
    assert_eq!(login().await, "read");
    let halves: Vec<_> = (0..3).map(|_| half(&router, LOGIN, Caller::default())).collect();
    tokio::task::yield_now().await;
    assert_eq!(login().await, FULL);
    for cut in halves {
        assert_eq!(cut.await.unwrap(), LATE);
    }
    assert_eq!(login().await, "read");
}
