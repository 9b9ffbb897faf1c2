//! The walkeep command.

use std::process::ExitCode;

fn main() -> ExitCode {
    walkeep::cli::main()
}
