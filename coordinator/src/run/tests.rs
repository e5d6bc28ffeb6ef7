use almoner_proto::{MAX_CHUNK, largest};
use almoner_store::MemoryStore;
use axum::body::Body;
use tonic::codegen::Service;

use super::*;

/// Whether a message of this length is refused for it. Nothing comes of it but the length.
async fn is_too_long(router: &axum::Router, path: &str, length: usize) -> bool {
    let head = [&[0][..], &u32::try_from(length).unwrap().to_be_bytes()].concat();
    let request = Request::post(path).header("content-type", "application/grpc").body(Body::from(head)).unwrap();
    let response = router.clone().call(request).await.unwrap();
    let said = response.headers().get("grpc-message").map(|text| text.to_str().unwrap());
    said.is_some_and(|said| said.contains("length%20too%20large"))
}

#[tokio::test]
async fn a_message_is_taken_at_the_length_of_its_own_kind() {
    let (mailbox, _inbox) = mpsc::channel(1);
    let (claims, _asked) = mpsc::channel(1);
    let (_notices, notices) = Notices::new();
    let mailbox = Mailbox(mailbox);
    let researchers = Arc::new(ResearchersService { mailbox: mailbox.clone(), notices: notices.clone() });
    let store = Arc::new(MemoryStore::default());
    let rounds = domain(1, almoner_protocol::Address::ZERO);
    let bundles = Arc::new(Bundles::new(store.clone()));
    let sites = Arc::new(SitesService { mailbox, claims, notices, store, bundles, partials: Arc::default(), rounds });
    let routes = Routes::new(sites_server(sites.clone())).add_service(researchers_server(researchers.clone()));
    let router = with_long(routes, sites, researchers);
    for (path, least) in [
        ("/almoner.v0.Sites/Join", 1 << 10),
        ("/almoner.v0.Sites/Claim", 1 << 10),
        ("/almoner.v0.Sites/Acknowledge", 1 << 10),
        ("/almoner.v0.Sites/Upload", MAX_CHUNK),
        ("/almoner.v0.Sites/AnswerScores", 24 << 20),
        ("/almoner.v0.Sites/Reveal", 32 << 20),
        ("/almoner.v0.Researchers/Fund", 1 << 10),
        ("/almoner.v0.Researchers/Create", 64 << 20),
    ] {
        let most = largest(path).unwrap();
        assert!(most >= least && most < least + (1 << 20), "{path} takes {most}");
        assert!(!is_too_long(&router, path, most).await, "{path}");
        assert!(is_too_long(&router, path, most + 1).await, "{path}");
    }
}
