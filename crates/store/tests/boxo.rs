//! Interoperation with boxo, the Go library that Kubo is made of (`tests/peers/boxo`).
//!
//! Runs where `ALMONER_BOXO` names the built peer; elsewhere it says that it skipped. If the
//! comma-separated list `ALMONER_REQUIRE` contains `boxo`, a skip is a failure.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use almoner_store::{Bytes, Cid, EmbeddedStore, GatewayStore, Layout, MemoryStore, Store, Url, cid_of, gateway};

const INSTALL: &str = "cd tests/peers/boxo && go build && export ALMONER_BOXO=$PWD/boxo";

fn peer() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("ALMONER_BOXO") {
        return Some(path.into());
    }
    println!("skipped: boxo: {INSTALL}");
    let required = std::env::var("ALMONER_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name.trim() == "boxo"), "boxo is required: {INSTALL}");
    None
}

/// Distinct blocks, then equal ones: both kinds of archives differ.
fn content(size: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ size as u64;
    let byte = |i: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        if i / (1 << 20) % 2 == 1 { 0 } else { state as u8 }
    };
    (0..size).map(byte).collect::<Vec<_>>().into()
}

const SIZES: [usize; 6] = [0, 1, 1 << 20, (1 << 20) + 1, 5_255_225, 12 << 20];

fn output(peer: &Path, args: &[&str]) -> String {
    let run = Command::new(peer).args(args).output().expect("the peer starts");
    assert!(run.status.success(), "{args:?}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap().trim().to_owned()
}

fn write(dir: &Path, size: usize) -> PathBuf {
    let path = dir.join(size.to_string());
    std::fs::write(&path, content(size)).unwrap();
    path
}

/// What the peer prints after a fetch: length and SHA-256.
fn summary(bytes: &Bytes) -> String {
    use sha2::{Digest, Sha256};
    let hex: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
    format!("{} {hex}", bytes.len())
}

#[test]
fn cids_are_equal() {
    let Some(peer) = peer() else { return };
    let dir = tempfile::tempdir().unwrap();
    for size in SIZES {
        let theirs = output(&peer, &["cid", write(dir.path(), size).to_str().unwrap()]);
        assert_eq!(theirs, cid_of(&content(size), Layout::V1_2025).to_string(), "{size} bytes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn boxo_reads_from_our_gateway() {
    let Some(peer) = peer() else { return };
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).await.unwrap();
    let mut cids = Vec::new();
    for size in SIZES {
        cids.push(store.put(content(size)).await.unwrap());
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, gateway::router(Arc::new(store))).await });
    for (size, cid) in SIZES.into_iter().zip(cids) {
        for mode in ["fetch", "fetch-raw"] {
            let (peer, url) = (peer.clone(), url.clone());
            let run = move || output(&peer, &[mode, &url, &cid.to_string()]);
            let read = tokio::task::spawn_blocking(run).await.unwrap();
            assert_eq!(read, summary(&content(size)), "{mode} {size} bytes");
        }
    }
}

struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(peer: &Path, files: &[PathBuf]) -> (Served, Url, Vec<Cid>) {
    let mut command = Command::new(peer);
    command.arg("serve").args(files).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut served = Served(command.spawn().expect("the peer starts"));
    let lines = BufReader::new(served.0.stdout.take().unwrap()).lines();
    let lines: Vec<String> = lines.take(1 + files.len()).map(Result::unwrap).collect();
    let cids = lines[1..].iter().map(|line| line.parse().unwrap()).collect();
    (served, lines[0].parse().unwrap(), cids)
}

#[tokio::test]
async fn we_read_from_boxos_gateway() {
    let Some(peer) = peer() else { return };
    let dir = tempfile::tempdir().unwrap();
    let files: Vec<_> = SIZES.iter().map(|size| write(dir.path(), *size)).collect();
    let (_served, url, cids) = serve(&peer, &files);
    let gateway = GatewayStore::new(vec![url]).unwrap();
    for (size, cid) in SIZES.into_iter().zip(cids) {
        let bytes = content(size);
        assert!(gateway.get(&cid, size as u64).await.unwrap() == bytes, "{size} bytes");
        let (from, len) = (size / 3, size / 2);
        let range = gateway.range(&cid, from as u64, len as u64).await.unwrap();
        assert!(range == bytes[from..from + len], "a range of {size} bytes");
        assert_eq!(MemoryStore::new().put(bytes).await.unwrap(), cid);
    }
    let absent = cid_of(b"absent", Layout::V1_2025);
    assert!(gateway.get(&absent, 6).await.is_err());
}
