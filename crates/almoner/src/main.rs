//! The `almoner` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    almoner::cli::main()
}
