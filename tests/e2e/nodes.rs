//! Chains of every kind: embedded, and the nodes that the environment names.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use alloy::primitives::{Address, B256, U256};
use alloy::providers::{DynProvider, Provider};
use almoner_chain::connect;
use almoner_devnet::{Access, Devnet, DevnetConfig, system_clock};
use serde_json::{Value, json};

const ETHER: u128 = 1_000_000_000_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeTravel {
    Yes,
    No,
}

pub(crate) struct Node {
    pub(crate) name: &'static str,
    pub(crate) chain_id: u64,
    pub(crate) time: TimeTravel,
    /// Of a node that is a process of its own.
    pub(crate) url: Option<String>,
    provider: DynProvider,
    funding: Funding,
    process: Option<Process>,
    data: Option<tempfile::TempDir>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Funding {
    Genesis,
    AnvilSetBalance,
    /// From the account that the node made for itself.
    OwnAccount,
}

/// A child that does not outlive the test.
struct Process {
    child: Child,
    command: Command,
}

impl Process {
    fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { child: command.spawn().unwrap(), command }
    }

    /// Told to end, as a machine does that is shut down, and started again on what it has on its disk.
    fn restart(&mut self) {
        let told = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(told.success());
        self.child.wait().unwrap();
        self.child = self.command.spawn().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Node {
    pub(crate) fn provider(&self) -> DynProvider {
        self.provider.clone()
    }

    /// Operated by the test, with an account that has ether from the start.
    pub(crate) fn embedded(chain_id: u64, funded: Address) -> Self {
        let devnet = devnet(chain_id, funded);
        Self::new("embedded", chain_id, TimeTravel::Yes, devnet.provider(), Funding::Genesis)
    }

    /// The embedded chain as any JSON-RPC client sees it.
    pub(crate) async fn embedded_over_http(funded: Address) -> Self {
        let devnet = devnet(31_337, funded);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/rpc", listener.local_addr().unwrap());
        let router = devnet.router(Access::Control);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self::new("embedded/http", 31_337, TimeTravel::Yes, connect(&url).unwrap(), Funding::Genesis)
    }

    pub(crate) async fn anvil() -> Option<Self> {
        let binary = binary("anvil", "ALMONER_ANVIL", "npm install @foundry-rs/anvil@1.7.1")?;
        let port = free_port();
        let data = tempfile::tempdir().unwrap();
        let mut command = Command::new(binary);
        command.args(["--port", &port.to_string(), "--hardfork", "osaka", "--silent", "--accounts", "0"]);
        command.arg("--state").arg(data.path().join("state.json"));
        let process = Process::start(command);
        let url = format!("http://127.0.0.1:{port}");
        let mut node = Self::new("anvil", 31_337, TimeTravel::Yes, reach(&url).await, Funding::AnvilSetBalance);
        node.url = Some(url);
        node.process = Some(process);
        node.data = Some(data);
        Some(node)
    }

    pub(crate) async fn geth() -> Option<Self> {
        let install = "go install github.com/ethereum/go-ethereum/cmd/geth@v1.17.3";
        let binary = binary("geth", "ALMONER_GETH", install)?;
        let (port, auth_port) = (free_port(), free_port());
        let data = tempfile::tempdir().unwrap();
        let mut command = Command::new(binary);
        command.arg("--datadir").arg(data.path());
        command.args(["--dev", "--dev.period", "0", "--nodiscover", "--maxpeers", "0", "--ipcdisable"]);
        command.args(["--http", "--http.port", &port.to_string(), "--authrpc.port", &auth_port.to_string()]);
        command.args(["--verbosity", "1", "--http.api", "eth,net,web3,debug"]);
        let process = Process::start(command);
        let url = format!("http://127.0.0.1:{port}");
        let mut node = Self::new("geth", 1337, TimeTravel::No, reach(&url).await, Funding::OwnAccount);
        node.url = Some(url);
        node.process = Some(process);
        node.data = Some(data);
        Some(node)
    }

    fn new(name: &'static str, chain_id: u64, time: TimeTravel, provider: DynProvider, funding: Funding) -> Self {
        Self { name, chain_id, time, url: None, provider, funding, process: None, data: None }
    }

    async fn request(&self, method: &'static str, params: Value) -> Value {
        self.provider.raw_request(method.into(), params).await.unwrap()
    }

    /// One more block.
    pub(crate) async fn mine(&self) {
        match self.funding {
            Funding::Genesis | Funding::AnvilSetBalance => {
                self.request("evm_mine", json!([])).await;
            }
            Funding::OwnAccount => {
                let own = self.request("eth_accounts", json!([])).await[0].clone();
                self.request("eth_sendTransaction", json!([{"from": own, "to": own}])).await;
            }
        }
    }

    /// Takes the newest `blocks` back, with all that is in them.
    pub(crate) async fn take_back(&self, blocks: u64) {
        match self.funding {
            Funding::Genesis | Funding::AnvilSetBalance => {
                self.request("anvil_reorg", json!([blocks, []])).await;
            }
            Funding::OwnAccount => {
                let head = self.provider.get_block_number().await.unwrap();
                self.request("debug_setHead", json!([format!("{:#x}", head - blocks)])).await;
            }
        }
    }

    /// As [`Self::take_back`], and the chain that takes their place has a time of its own: `seconds` go by in it before
    /// anybody's transaction is in a block again. Anvil only.
    pub(crate) async fn take_back_into(&self, blocks: u64, seconds: u64) {
        self.request("evm_setAutomine", json!([false])).await;
        self.take_back(blocks).await;
        self.request("evm_increaseTime", json!([seconds])).await;
        self.mine().await;
        self.request("evm_setAutomine", json!([true])).await;
    }

    /// As [`Self::take_back`], and in their place another transaction of the account has the nonce of the first that it had
    /// there. Anvil only.
    pub(crate) async fn displace(&self, account: Address, blocks: u64) {
        self.request("anvil_impersonateAccount", json!([account])).await;
        let other = json!({"from": account, "to": account});
        self.request("anvil_reorg", json!([blocks, [[other, 0]]])).await;
        self.request("anvil_stopImpersonatingAccount", json!([account])).await;
    }

    /// Ends the node's process and starts it again.
    pub(crate) async fn restart(&mut self) {
        // A block that it makes after it has written its state down, and before it is gone, is lost.
        self.hold().await;
        self.process.as_mut().expect("a node that is a process").restart();
        reach(self.url.as_ref().expect("it has an address")).await;
        self.hold().await;
    }

    /// From now on anvil makes no block but by [`Self::mine`], so that whoever looks before each misses none.
    pub(crate) async fn hold(&self) {
        if self.funding == Funding::AnvilSetBalance {
            self.request("evm_setAutomine", json!([false])).await;
        }
    }

    /// As [`Self::restart`], and it has lost `block`, with all that came after it. Anvil only.
    pub(crate) async fn restart_before(&mut self, block: u64) {
        self.hold().await;
        let newest = self.provider.get_block_number().await.unwrap();
        self.request("anvil_rollback", json!([newest + 1 - block])).await;
        self.restart().await;
    }

    /// Ether for gas, without using up a nonce of the account.
    pub(crate) async fn fund(&self, account: Address) {
        let amount = U256::from(1000 * ETHER);
        match self.funding {
            Funding::Genesis => {}
            Funding::AnvilSetBalance => {
                self.request("anvil_setBalance", json!([account, amount])).await;
            }
            Funding::OwnAccount => {
                let accounts = self.request("eth_accounts", json!([])).await;
                let transfer = json!([{"from": accounts[0], "to": account, "value": amount}]);
                let hash = self.request("eth_sendTransaction", transfer).await;
                let hash: B256 = serde_json::from_value(hash).unwrap();
                // Just started, geth answers with an error until it has indexed its chain.
                while !matches!(self.provider.get_transaction_receipt(hash).await, Ok(Some(_))) {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
        assert!(self.provider.get_balance(account).await.unwrap() >= amount);
    }
}

fn devnet(chain_id: u64, funded: Address) -> Devnet {
    let mut config = DevnetConfig::new(vec![(funded, U256::from(1000 * ETHER))], system_clock());
    config.chain_id = chain_id;
    Devnet::memory(&config).unwrap()
}

/// The binary that the environment names; otherwise says how to get it, or fails if it is required.
fn binary(name: &str, variable: &str, install: &str) -> Option<String> {
    let found = std::env::var(variable).ok().filter(|path| !path.is_empty());
    if found.is_none() {
        let required = std::env::var("ALMONER_REQUIRE").unwrap_or_default();
        let message = format!("skipped: {name}: {install}, and set {variable} to the binary");
        assert!(!required.split(',').any(|required| required.trim() == name), "{message}");
        println!("{message}");
    }
    found
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until the node answers.
async fn reach(url: &str) -> DynProvider {
    let provider = connect(url).unwrap();
    for _ in 0..600 {
        if provider.get_block_number().await.is_ok() {
            return provider;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the node at {url} does not answer");
}
