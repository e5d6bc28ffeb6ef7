//! The shared data sets, which are not part of the repository. The tests of other crates include this file too.

use std::path::{Path, PathBuf};

/// A file of the shared data, or a line that says what is skipped. Where `ALMONER_REQUIRE` names `data`, a file that is
/// not there fails the test.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let full = root()?.join(path);
    if full.exists() {
        return Some(full);
    }
    assert!(!required("data"), "{path} of the shared data is required, and not at {}", full.display());
    println!("skipped: shared data: {path} is not there; set ALMONER_SHARED");
    None
}

/// Whether `ALMONER_REQUIRE` names it.
pub(crate) fn required(what: &str) -> bool {
    std::env::var("ALMONER_REQUIRE").is_ok_and(|names| names.split(',').any(|name| name == what))
}

/// `ALMONER_SHARED`, else `shared` beside the repository.
fn root() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("ALMONER_SHARED") {
        return Some(named.into());
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let repository = here.ancestors().find(|dir| dir.join("Cargo.lock").exists())?;
    Some(repository.parent()?.join("shared"))
}
