//! What a child process does for the tests.

use std::io::Write;
use std::process::{Command, Stdio};

use rmi_core::{Bytes, Proxy, RemoteError, remote};

use crate::Echo;

/// The root object of a child.
#[remote]
pub trait Worker {
    /// Returns the bytes.
    async fn echo(&self, bytes: Bytes) -> Result<Bytes, RemoteError>;
    /// Calls back and returns what was said.
    async fn ask(&self, whom: Proxy<dyn Echo>, text: &str) -> Result<String, RemoteError>;
    /// Prints so many lines of 63 letters to its standard output.
    async fn print(&self, lines: u32) -> Result<(), RemoteError>;
    /// Starts a process that outlives it and has what a process inherits; returns its id.
    async fn start(&self) -> Result<u32, RemoteError>;
    /// Reads its standard input to the end; returns how much there was.
    async fn input(&self) -> Result<u64, RemoteError>;
}

/// A [`Worker`].
pub struct Desk;

fn outliving() -> u32 {
    Command::new("sleep").arg("60").stdin(Stdio::inherit()).spawn().expect("sleep can be started").id()
}

#[remote]
impl Worker for Desk {
    async fn echo(&self, bytes: Bytes) -> Result<Bytes, RemoteError> {
        Ok(bytes)
    }

    async fn ask(&self, whom: Proxy<dyn Echo>, text: &str) -> Result<String, RemoteError> {
        whom.echo(text).await
    }

    async fn print(&self, lines: u32) -> Result<(), RemoteError> {
        let mut out = std::io::stdout().lock();
        for _ in 0..lines {
            writeln!(out, "{}", "n".repeat(63)).expect("the output is open");
        }
        Ok(())
    }

    async fn start(&self) -> Result<u32, RemoteError> {
        Ok(outliving())
    }

    async fn input(&self) -> Result<u64, RemoteError> {
        Ok(std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).expect("the input can be read"))
    }
}
