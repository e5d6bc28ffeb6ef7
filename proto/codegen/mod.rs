//! How the committed wire code is made: protox reads the `.proto` file (no protoc needed), tonic-prost-build writes
//! the Rust. Used by `examples/generate.rs`, which writes, and `tests/drift.rs`, which compares.

use std::error::Error;
use std::path::Path;

use prost::Message;

/// Files of one generation, by name under `src/gen`.
pub(crate) const FILES: [&str; 2] = ["almoner.v0.rs", "almoner.v0.bin"];

/// Generates both files into `out`.
pub(crate) fn generate(out: &Path) -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let descriptors = protox::compile(["almoner/v0/almoner.proto"], [&root])?;
    let mut served = descriptors.clone();
    for file in &mut served.file {
        // Comments and positions are of no use to reflection.
        file.source_code_info = None;
    }
    std::fs::write(out.join(FILES[1]), served.encode_to_vec())?;
    tonic_prost_build::configure().bytes(".").emit_rerun_if_changed(false).out_dir(out).compile_fds(descriptors)?;
    Ok(())
}
