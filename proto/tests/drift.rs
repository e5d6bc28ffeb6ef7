//! The committed wire code is what the `.proto` file generates.

use std::path::Path;

#[path = "../codegen/mod.rs"]
mod codegen;

#[test]
fn committed_wire_code_matches_the_proto_file() {
    let fresh = tempfile::tempdir().unwrap();
    codegen::generate(fresh.path()).unwrap();
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/gen");
    for name in codegen::FILES {
        let (want, have) =
            (std::fs::read(fresh.path().join(name)).unwrap(), std::fs::read(committed.join(name)).unwrap());
        assert!(want == have, "{name} is stale: run `cargo run --release -p almoner-proto --example generate`");
    }
}
