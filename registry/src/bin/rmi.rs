//! The registry's command line.

use std::process::ExitCode;

use clap::Parser;
use rmi_registry::command::{self, Options};

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    match command::run(options).await {
        Ok(status) => status,
        Err(failure) => {
            eprintln!("rmi: {failure}");
            failure.code()
        }
    }
}
