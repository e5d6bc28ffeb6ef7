mod crowds;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt;
use reqwest::Url;
use tower::ServiceExt;

use super::*;
use crate::{
    Blame, Cid, Faults, FaultyStore, Injected, MAX_BLOCK, MemoryStore, Refusal, Store, StoreError,
    testing::{content, layout, serve, serve_store},
};

const RAW: &str = "application/vnd.ipld.raw";
const CAR: &str = "application/vnd.ipld.car";

async fn memory(size: usize) -> (Arc<MemoryStore>, Cid, bytes::Bytes) {
    let store = Arc::new(MemoryStore::with_layout(layout(1000, 5)));
    let bytes = content("gateway", size);
    let cid = store.put(bytes.clone()).await.unwrap();
    (store, cid, bytes)
}

fn client(urls: &[&Url]) -> GatewayStore {
    GatewayStore::new(urls.iter().map(|u| (*u).clone()).collect()).unwrap()
}

async fn ask(store: &Arc<MemoryStore>, method: Method, path: &str, accept: &str) -> Response {
    let request = Request::builder().method(method).uri(path).header(header::ACCEPT, accept);
    router(store.clone()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

async fn body(response: Response) -> bytes::Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn files_round_trip() {
    for size in [0, 1, 1000, 1001, 77_777] {
        let (store, cid, bytes) = memory(size).await;
        let url = serve_store(store).await;
        let client = client(&[&url]);
        assert!(client.get(&cid, size as u64).await.unwrap() == bytes);
        let half = size / 2;
        let range = client.range(&cid, half as u64, (size - half) as u64).await.unwrap();
        assert!(range == bytes[half..]);
        assert!(client.block(&cid).await.unwrap().is_some());
        if let Some(short) = size.checked_sub(1) {
            let error = client.get(&cid, short as u64).await.unwrap_err();
            assert!(matches!(error, StoreError::TooLarge { .. }), "{error}");
        }
    }
}

#[tokio::test]
async fn a_url_that_ends_in_ipfs_is_that_of_its_gateway() {
    let (store, cid, bytes) = memory(1001).await;
    let url = serve_store(store).await;
    for path in ["ipfs", "ipfs/", "/ipfs//"] {
        let shown = url.join(path).unwrap();
        assert!(client(&[&shown]).get(&cid, 1001).await.unwrap() == bytes, "{shown}");
    }
    let other = url.join("notipfs").unwrap();
    assert!(client(&[&other]).get(&cid, 1001).await.unwrap_err().is_missing());
}

#[tokio::test]
async fn what_is_not_there_is_missing() {
    let (store, ..) = memory(10).await;
    let url = serve_store(store).await;
    let absent = crate::cid_of(b"absent", crate::Layout::V1_2025);
    let client = client(&[&url]);
    let error = client.get(&absent, 10).await.unwrap_err();
    assert!(error.is_missing() && error.blame() == Blame::Retry, "{error}");
    assert_eq!(error.cid(), Some(&absent));
    assert!(client.block(&absent).await.unwrap().is_none());
    assert_eq!(client.put("x".into()).await.unwrap_err().blame(), Blame::Ours);
}

#[tokio::test]
async fn raw_answers_carry_the_standard_headers() {
    let (store, cid, _) = memory(5000).await;
    for (path, accept) in [(format!("/ipfs/{cid}?format=raw"), "*/*"), (format!("/ipfs/{cid}"), RAW)] {
        let answer = ask(&store, Method::GET, &path, accept).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let headers = answer.headers().clone();
        let block = body(answer).await;
        assert_eq!(store.block(&cid).await.unwrap().unwrap(), block);
        assert_eq!(headers[header::CONTENT_TYPE], RAW);
        assert_eq!(headers[header::ETAG], format!("\"{cid}.raw\""));
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(headers[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
        let head = ask(&store, Method::HEAD, &path, accept).await;
        assert_eq!(head.headers()[header::CONTENT_LENGTH], block.len().to_string());
        assert!(body(head).await.is_empty());
    }
}

#[tokio::test]
async fn car_answers_carry_the_standard_headers() {
    let (store, cid, _) = memory(5000).await;
    let path = format!("/ipfs/{cid}?format=car&dag-scope=all");
    for (accept, dups) in [("*/*", "y"), ("application/vnd.ipld.car;order=dfs;dups=n", "n")] {
        let answer = ask(&store, Method::GET, &path, accept).await;
        let expected = format!("{CAR}; version=1; order=dfs; dups={dups}");
        assert_eq!(answer.headers()[header::CONTENT_TYPE], expected);
        assert_eq!(answer.headers()[header::ETAG], format!("W/\"{cid}.car.dfs.{dups}\""));
    }
    let head = ask(&store, Method::HEAD, &path, "*/*").await;
    assert_eq!(head.status(), StatusCode::OK);
    assert!(body(head).await.is_empty());
    let one = ask(&store, Method::GET, &format!("/ipfs/{cid}?format=car&dag-scope=block"), "*/*").await;
    let (one, block) = (body(one).await, store.block(&cid).await.unwrap().unwrap());
    assert_eq!(one.len(), crate::car::header(&cid).len() + crate::car::prefix(&cid, block.len()).len() + block.len());
}

#[tokio::test]
async fn refusals_have_the_right_status() {
    let (store, cid, _) = memory(5000).await;
    let absent = crate::cid_of(b"absent", crate::Layout::V1_2025);
    for (path, accept, status) in [
        (format!("/ipfs/{cid}"), "*/*", 406),
        (format!("/ipfs/{cid}"), "text/html", 406),
        (format!("/ipfs/{cid}?format=tar"), RAW, 406),
        (format!("/ipfs/{cid}?format=car"), "application/vnd.ipld.car;version=2", 406),
        (format!("/ipfs/{cid}?format=car&dag-scope=half"), "*/*", 400),
        (format!("/ipfs/{absent}?format=raw"), "*/*", 404),
        (format!("/ipfs/{absent}?format=car"), "*/*", 404),
        ("/ipfs/bafkqaaa?format=raw".into(), "*/*", 400),
        ("/ipfs/nonsense?format=raw".into(), "*/*", 400),
        ("/ipfs/".into(), "*/*", 404),
        (format!("/ipfs/{cid}/path?format=car"), "*/*", 404),
    ] {
        let answer = ask(&store, Method::GET, &path, accept).await;
        assert_eq!(answer.status().as_u16(), status, "{path} {accept}");
    }
    let post = ask(&store, Method::POST, &format!("/ipfs/{cid}?format=raw"), "*/*").await;
    assert_eq!(post.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_known_etag_needs_no_body() {
    let (store, cid, _) = memory(5000).await;
    for (known, status) in [
        (format!("\"{cid}.raw\""), StatusCode::NOT_MODIFIED),
        (format!("\"x\", W/\"{cid}.raw\""), StatusCode::NOT_MODIFIED),
        (format!("\"{cid}.car\""), StatusCode::OK),
    ] {
        let request = Request::builder()
            .uri(format!("/ipfs/{cid}?format=raw"))
            .header(header::IF_NONE_MATCH, &known)
            .body(Body::empty())
            .unwrap();
        let answer = router(store.clone()).oneshot(request).await.unwrap();
        assert_eq!(answer.status(), status, "{known}");
    }
}

#[tokio::test]
async fn a_liar_is_passed_over() {
    let (store, cid, bytes) = memory(20_000).await;
    let honest = serve_store(store.clone()).await;
    let everything = Faults { flipped_per_mille: 1000, ..Faults::default() };
    let liar = serve_store(Arc::new(FaultyStore::new(store.clone(), everything))).await;
    let nobody: Url = "http://127.0.0.1:1".parse().unwrap();
    let good = client(&[&nobody, &liar, &honest]);
    assert!(good.get(&cid, 20_000).await.unwrap() == bytes);
    assert!(good.range(&cid, 5, 9000).await.unwrap() == bytes[5..9005]);
    let error = client(&[&liar]).block(&cid).await.unwrap_err();
    assert!(matches!(error, StoreError::Refused { reason: Refusal::WrongHash, .. }), "{error}");
    assert_eq!(error.blame(), Blame::Peer);
    let error = client(&[&nobody]).get(&cid, 20_000).await.unwrap_err();
    assert_eq!(error.blame(), Blame::Retry);
}

/// A gateway that breaks off in mid-file is followed by one that goes on at that block.
#[tokio::test]
async fn a_broken_transfer_goes_on_elsewhere() {
    let (store, cid, bytes) = memory(20_000).await;
    let honest = serve_store(store.clone()).await;
    // The last leaf is missing at the first gateway: its archive ends there.
    let partial = FaultyStore::new(store, Faults::default());
    let leaf = crate::cid_of(&bytes[19_000..], crate::Layout::V1_2025);
    partial.inject(&leaf, Injected::Missing).unwrap();
    let partial = serve_store(Arc::new(partial)).await;
    let (counted, asked) = counted(honest).await;
    let both = client(&[&partial, &counted]);
    assert!(both.get(&cid, 20_000).await.unwrap() == bytes);
    assert_eq!(asked.load(Ordering::Relaxed), 1, "one block was asked for elsewhere");
    let error = client(&[&partial]).get(&cid, 20_000).await.unwrap_err();
    assert!(matches!(error, StoreError::Exhausted { .. }), "{error}");
    assert_eq!(error.blame(), Blame::Retry);
}

#[tokio::test]
async fn nodes_on_the_way_to_ranges_are_asked_for_once() {
    // Twenty leaves, four nodes and the root.
    let (store, cid, bytes) = memory(20_000).await;
    let (counted, asked) = counted(serve_store(store).await).await;
    let client = client(&[&counted]);
    for at in (0..20_000).step_by(1000) {
        let range = client.range(&cid, at, 1000).await.unwrap();
        assert!(range == bytes[at as usize..][..1000]);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 25);
}

/// A gateway before another one, and how often it was asked.
async fn counted(gateway: Url) -> (Url, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let counted = middleware::from_fn(move |request: Request, next: Next| {
        counter.fetch_add(1, Ordering::Relaxed);
        next.run(request)
    });
    (serve(router_of_proxy(gateway).layer(counted)).await, asked)
}

/// Passes every request on to another gateway.
fn router_of_proxy(base: Url) -> Router {
    Router::new().fallback(move |request: Request| {
        let mut url = base.clone();
        url.set_path(request.uri().path());
        url.set_query(request.uri().query());
        async move {
            let answer = reqwest::Client::builder().no_proxy().build().unwrap().get(url).send();
            Response::new(Body::from(answer.await.unwrap().bytes().await.unwrap()))
        }
    })
}

#[tokio::test]
async fn strange_servers_are_refused() {
    let cid = crate::cid_of(b"x", crate::Layout::V1_2025);
    let redirect = Router::new()
        .fallback(|| async { (StatusCode::FOUND, [(header::LOCATION, "http://127.0.0.1:1/")]).into_response() });
    let endless = Router::new().fallback(|| async {
        let chunk = bytes::Bytes::from(vec![0u8; 1 << 16]);
        Body::from_stream(futures::stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone())))
    });
    let failing = Router::new().fallback(|| async { StatusCode::BAD_GATEWAY });
    let denied = Router::new().fallback(|| async { StatusCode::FORBIDDEN });
    for (server, blame) in
        [(redirect, Blame::Peer), (endless, Blame::Peer), (failing, Blame::Retry), (denied, Blame::Peer)]
    {
        let url = serve(server).await;
        let error = client(&[&url]).get(&cid, MAX_BLOCK as u64).await.unwrap_err();
        assert_eq!(error.blame(), blame, "{error}");
    }
}

#[tokio::test]
async fn credentials_are_never_shown() {
    let url: Url = "http://user:hunter2@127.0.0.1:1/base?key=hunter2".parse().unwrap();
    let client = client(&[&url, &url]);
    let cid = crate::cid_of(b"x", crate::Layout::V1_2025);
    let error = client.get(&cid, 1).await.unwrap_err();
    let shown = format!("{client:?} {error} {error:?}");
    assert!(shown.contains("127.0.0.1:1/base"), "{shown}");
    assert!(!shown.contains("hunter2") && !shown.contains("user"), "{shown}");
    assert!(GatewayStore::new(vec![]).is_err());
    assert!(GatewayStore::new(vec!["file:///etc".parse().unwrap()]).is_err());
}
