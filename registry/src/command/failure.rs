//! What went wrong, in words that help, and the exit status for it.

use std::fmt;
use std::process::ExitCode;

use rmi_core::naming::NamingError;
use rmi_core::sync::SyncError;

use crate::command::output::escaped;

/// Why the command failed.
#[derive(Debug)]
pub struct Failure {
    status: u8,
    text: String,
}

impl Failure {
    pub(super) fn usage(text: impl Into<String>) -> Self {
        Self { status: 2, text: text.into() }
    }

    pub(super) fn failed(error: impl fmt::Display) -> Self {
        Self { status: 1, text: error.to_string() }
    }

    /// With a status of its own.
    pub(super) fn with_status(status: u8, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    /// The exit status: 1 not found or failed, 2 wrong usage, 3 no registry, and those of running a command from 124 on.
    #[must_use]
    pub fn code(&self) -> ExitCode {
        self.status.into()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escaped(&self.text))?;
        if self.status == 3 {
            f.write_str("\nStart one with `rmi-registry`, or name another with --registry or RMI_REGISTRY.")?;
        }
        Ok(())
    }
}

impl From<SyncError> for Failure {
    fn from(error: SyncError) -> Self {
        let status = match &error {
            SyncError::Name(_) | SyncError::NoPermits | SyncError::TooMany { .. } => 2,
            _ => 1,
        };
        Self { status, text: error.to_string() }
    }
}

impl From<NamingError> for Failure {
    fn from(error: NamingError) -> Self {
        let status = match &error {
            NamingError::NoRegistry { .. } => 3,
            NamingError::Name(_) | NamingError::Endpoint(_) => 2,
            _ => 1,
        };
        Self { status, text: error.to_string() }
    }
}
