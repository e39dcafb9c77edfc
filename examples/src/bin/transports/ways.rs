//! The transports, and what each needs.

use std::fmt;
use std::path::Path;

use clap::ValueEnum;
use rmi_core::{Node, NodeBuilder};
use rmi_examples::process::Outcome;

/// A transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    Tcp,
    Unix,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

impl Way {
    /// What has to be there before either side starts.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) async fn prepare(self, _directory: &Path) -> Outcome {
        Ok(())
    }

    /// A node that listens.
    ///
    /// # Errors
    /// What it needs is not there.
    pub(crate) fn host(self, directory: &Path) -> Outcome<NodeBuilder> {
        let place = match self {
            Self::Tcp => format!("{self}://127.0.0.1:0"),
            Self::Unix => format!("{self}:{}", directory.join("place").display()),
        };
        Ok(self.caller(directory)?.listen(place))
    }

    /// A node that only dials.
    ///
    /// # Errors
    /// What it needs is not there.
    pub(crate) fn caller(self, _directory: &Path) -> Outcome<NodeBuilder> {
        Ok(Node::builder())
    }
}
