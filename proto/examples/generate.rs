//! Regenerates `src/gen` from the `.proto` file: `cargo run --release -p almoner-proto --example generate`.

use std::error::Error;
use std::path::Path;

#[path = "../codegen/mod.rs"]
mod codegen;

fn main() -> Result<(), Box<dyn Error>> {
    codegen::generate(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/gen"))
}
