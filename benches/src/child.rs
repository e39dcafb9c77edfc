//! The other process.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use crate::Result;

/// The process that serves; dropping it ends it.
pub(crate) struct Child {
    process: std::process::Child,
    address: String,
}

impl Child {
    /// Starts this program again with these arguments, and waits until it says where it can be reached. `what` names it in
    /// errors.
    pub(crate) fn start(what: &str, arguments: &[String], environment: &[(&str, String)]) -> Result<Self> {
        let process = Command::new(std::env::current_exe()?)
            .args(arguments)
            .envs(environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        // From here on dropping the value ends the process, whatever happens.
        let mut child = Self { process, address: String::new() };
        let output = child.process.stdout.take().ok_or("the child has no output")?;
        BufReader::new(output).read_line(&mut child.address)?;
        if child.address.is_empty() {
            return Err(format!("{what} did not start").into());
        }
        child.address.truncate(child.address.trim_end().len());
        Ok(child)
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail only when the process is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Called in the child: ends it when its parent is gone, however that went.
pub(crate) fn end_with_parent() {
    std::thread::spawn(|| {
        let mut nothing = [0];
        while let Ok(1) = std::io::stdin().read(&mut nothing) {}
        std::process::exit(0);
    });
}

/// Called in the child: tells the parent where to find it.
pub(crate) fn announce(address: &str) {
    println!("{address}");
}
