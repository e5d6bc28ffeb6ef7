//! Thousands of connections that want nothing good, on every port of a coordinator while a round is run, and on those of a
//! chain and of a finished run: they say nothing, dribble headers and handshakes, talk nonsense, or send far too much.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;
use std::time::Duration;

use almoner::localnet::breast_cancer::Labels;
use almoner::localnet::{ModelChoice, Seeds, breast_cancer_scenario};
use almoner_proto::{LeaseRequest, aggregators_client, endpoint, wire};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tonic::Code;
use tonic::transport::Endpoint;

use super::processes::{Daemon, HOSPITALS, House, coordinator_settings, free_port, key, order};
use super::{almoner, demo, serve};

/// More than a coordinator holds of callers without a certificate.
const CONNECTIONS: usize = 4300;
/// Beside the connections a door lets in (4096): the journal, the store, the node, the sites.
const FILES: usize = 4096 + 256;
/// Where the system allows processes few files there are fewer connections.
const FLOODED: usize = 128;
const MEMORY_MIB: u64 = 320;

/// How each kind begins. Then it sends a byte a second.
const BEGINNINGS: [&[u8]; 6] = [
    b"",
    b"POST /rpc HTTP/1.1\r\nhost: coordinator\r\nx-",
    b"GET /ipfs/bafkqaaa HTTP/1.1\r\nhost: coordinator\r\nx-",
    // The preface, and a frame of headers that does not end.
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\x20\0\x01\0\0\0\0\x01",
    // The head of a TLS handshake.
    b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
    b"\0\xff\x13\x37nonsense\r\n\r\n\xfe\xed",
];

/// A whole head, and a body that takes a quarter of an hour.
const SLOW_BODY: &[u8] = b"POST /rpc HTTP/1.1\r\nhost: chain\r\ncontent-length: 1000\r\n\r\n";
const LONG_BODY: &[u8] = b"POST /rpc HTTP/1.1\r\nhost: chain\r\ncontent-length: 67108864\r\n\r\n";
const SLOW_HEAD: &[u8] = b"POST /rpc HTTP/1.1\r\nhost: chain\r\nx-";

/// Goes on until it is dropped; connections that are closed are dialled again.
pub(super) struct Flood {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

/// A connection that the other end has no room for yet is dialled again by the system after a second: they wait
/// beside each other.
const THREADS: usize = 8;

impl Flood {
    pub(super) fn on(at: &str, connections: usize) -> Self {
        Self::of(at, connections, &BEGINNINGS)
    }

    fn of(at: &str, connections: usize, beginnings: &'static [&'static [u8]]) -> Self {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
        let host = at.rsplit("//").next().unwrap().split('/').next().unwrap();
        let at: SocketAddr = host.replace("localhost", "127.0.0.1").parse().unwrap();
        let connections = maximum.map_or(connections, |most| connections.min(most as usize / 4));
        let (stop, dialled) = (Arc::new(AtomicBool::new(false)), Arc::new(Barrier::new(THREADS + 1)));
        let tasks = (0..THREADS).map(|_| {
            let (stop, dialled) = (stop.clone(), dialled.clone());
            std::thread::spawn(move || {
                let mut lines: Vec<_> = (0..connections / THREADS).map(|number| dial(at, beginnings, number)).collect();
                dialled.wait();
                while !stop.load(Ordering::SeqCst) {
                    for (number, line) in lines.iter_mut().enumerate() {
                        if !line.as_mut().is_some_and(dribble) {
                            *line = dial(at, beginnings, number);
                        }
                    }
                    std::thread::sleep(Duration::from_secs(1));
                }
            })
        });
        let tasks = tasks.collect();
        dialled.wait();
        Self { stop, tasks }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for task in self.tasks.drain(..) {
            let _ = task.join();
        }
    }
}

fn dial(at: SocketAddr, beginnings: &[&[u8]], number: usize) -> Option<TcpStream> {
    let mut line = TcpStream::connect_timeout(&at, Duration::from_secs(1)).ok()?;
    line.set_nonblocking(true).ok()?;
    line.write_all(beginnings[number % beginnings.len()]).ok()?;
    Some(line)
}

/// Whether it is still a connection.
fn dribble(line: &mut TcpStream) -> bool {
    let open = match line.read(&mut [0; 256]) {
        Ok(read) => read > 0,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    };
    open && line.write_all(b"a").is_ok()
}

pub(super) fn open_files(id: u32) -> usize {
    fs::read_dir(format!("/proc/{id}/fd")).unwrap().count()
}

/// The largest resident set so far.
pub(super) fn peak_mib(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() >> 10
}

/// One message of far more than is taken, many times at once; each is refused, and not kept.
fn too_much(url: &str) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let channel = endpoint(Endpoint::from_shared(url.to_owned()).unwrap()).connect().await.unwrap();
        let asked: Vec<_> = (0..40)
            .map(|_| {
                let mut client = aggregators_client(channel.clone());
                let worker = "w".repeat(12 << 20);
                tokio::spawn(async move { client.lease(wire::LeaseRequest::from(LeaseRequest { worker })).await })
            })
            .collect();
        for asked in asked {
            assert_eq!(asked.await.unwrap().unwrap_err().code(), Code::OutOfRange);
        }
    });
}

#[test]
fn a_round_is_run_in_a_flood_and_memory_stays_bounded() {
    let house = House::new();
    let rooms = ["chain", "coordinator", "aggregator"].map(|name| house.room(name));
    let account = key(&rooms[1].join("coordinator.key"));
    let funded = format!("control = true\n[[funded]]\naccount = \"{account}\"\nether = 1000\n");
    let chain = format!("listen = \"127.0.0.1:0\"\nchain = \"chain.log\"\n{funded}");
    let (_chain, rpc) = house.daemon(&rooms[0], "devnet", &chain);
    let metrics = free_port();
    let settings = coordinator_settings(0, &rpc, &format!("time_travel = true\nmetrics = \"127.0.0.1:{metrics}\"\n"));
    let (coordinator, url) = house.daemon(&rooms[1], "coordinator", &settings);
    let _floods = [Flood::on(&url, CONNECTIONS), Flood::on(&format!("http://127.0.0.1:{metrics}"), CONNECTIONS / 10)];
    let (_aggregator, _) = house.daemon(&rooms[2], "aggregator", &format!("coordinator = \"{url}\"\n"));
    let file = house.home.path().join("federation.toml");
    fs::write(&file, include_str!("../../../../docs/config/breast-cancer-logistic.toml")).unwrap();
    order(&url, &["create", file.to_str().unwrap()]);
    order(&url, &["fund", "1", "1000000000000000000000"]);
    let scenario = breast_cancer_scenario(ModelChoice::Logistic, Labels::Clean, &Seeds::insecure(5)).unwrap();
    let mut sites: Vec<Daemon> = Vec::new();
    for (index, holder) in scenario.hospitals.iter().take(HOSPITALS).enumerate() {
        sites.push(house.site(&format!("hospital-{}", index + 1), "participant", &url, holder));
    }
    sites.push(house.site("validator", "validator", &url, &scenario.validators[0]));
    order(&url, &["launch", "1", "--rounds", "1"]);
    too_much(&url);
    let paid = sites.iter_mut().map(|site| site.until("paid")["paid"].as_str().unwrap().parse::<u128>().unwrap());
    assert_eq!(paid.sum::<u128>(), 1_000_000_000_000_000_000_000);
    let (files, peak) = (open_files(coordinator.id), peak_mib(coordinator.id));
    println!("the coordinator has {files} files open and took {peak} MiB at most");
    assert!(files > FLOODED, "{files}: was there a flood?");
    assert!(files <= FILES && peak <= MEMORY_MIB, "{files} files, {peak} MiB");
}

/// Begins a request and goes no further.
fn begun(url: &str, with: &[u8]) -> TcpStream {
    let mut line = TcpStream::connect(url.split('/').nth(2).unwrap()).unwrap();
    line.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    line.write_all(with).unwrap();
    line
}

/// The status that it is answered with; nothing if the line is cut. One that stays as it is fails the test.
fn answered(mut line: TcpStream) -> Option<String> {
    let mut said = [0; 12];
    match line.read_exact(&mut said) {
        Ok(()) => Some(String::from_utf8(said[9..].to_vec()).unwrap()),
        Err(error) => {
            assert!(!matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "nobody gave it up");
            None
        }
    }
}

/// Floods what listens there, as process `id`, while somebody honest asks; a request that does not come, or is too long,
/// is given up.
fn flooded(url: &str, id: u32, honest: impl Fn()) {
    let _floods = [Flood::on(url, CONNECTIONS), Flood::of(url, CONNECTIONS / 10, &[SLOW_BODY])];
    honest();
    let slow = begun(url, SLOW_BODY);
    assert_eq!(answered(begun(url, LONG_BODY)).as_deref(), Some("413"));
    assert_eq!(answered(slow).as_deref(), Some("408"));
    assert_eq!(answered(begun(url, SLOW_HEAD)), None);
    honest();
    let (files, peak) = (open_files(id), peak_mib(id));
    println!("{url} has {files} files open and took {peak} MiB at most");
    assert!(files > FLOODED, "{files}: was there a flood?");
    assert!(files <= FILES && peak <= MEMORY_MIB, "{files} files, {peak} MiB");
}

#[test]
fn a_chain_answers_in_a_flood() {
    let house = House::new();
    let rooms = ["chain", "coordinator"].map(|name| house.room(name));
    let (chain, rpc) = house.chain(&rooms[0], &rooms[1]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    flooded(&rpc, chain.id, || {
        let node = almoner_chain::connect(&rpc).unwrap();
        assert!(runtime.block_on(almoner_chain::chain_id(&node)).is_ok());
    });
}

#[test]
fn a_finished_run_is_audited_in_a_flood() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("run");
    demo(&dir, &["--seed", "3", "--rounds", "1", "--clean-labels"]);
    let (server, url) = serve(&dir);
    flooded(&url, server.0.id(), || {
        let audit = almoner(&["audit", &url, "--quiet"]);
        assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stderr));
    });
}
