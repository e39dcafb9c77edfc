//! The credentials of a process that was started from a command line.

use std::path::PathBuf;

use clap::Args;
use rmi_core::{Endpoint, NodeBuilder};

/// With what a process proves who it is.
#[derive(Args, Debug, Default)]
pub struct Keys {
    /// The directory with authority.pem, certificate.pem and key.pem for tls:// and quic://, as `rmi cert` makes them
    #[arg(long = "tls", value_name = "DIR", global = true)]
    tls: Option<PathBuf>,
}

impl Keys {
    /// Adds the transports that these are for.
    ///
    /// # Errors
    /// A file cannot be used; the text names it. Or this program was built without TLS.
    pub fn equip(&self, builder: NodeBuilder) -> Result<NodeBuilder, String> {
        #[cfg(feature = "nats")]
        let builder = builder.transport(std::sync::Arc::new(rmi_core::transport::Nats::new()));
        match &self.tls {
            Some(directory) => equip(builder, directory),
            None => Ok(builder),
        }
    }

    /// Says what is missing to use an endpoint.
    ///
    /// # Errors
    /// The endpoint needs credentials, and there are none.
    pub fn check(&self, endpoint: &Endpoint) -> Result<(), String> {
        match endpoint.scheme() {
            "tls" | "quic" if self.tls.is_none() => {
                Err(format!("{endpoint} needs --tls DIR, a directory as `rmi cert` makes it"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(feature = "tls")]
fn equip(builder: NodeBuilder, directory: &std::path::Path) -> Result<NodeBuilder, String> {
    use std::sync::Arc;

    use rmi_core::transport::{Credentials, Tls};

    let credentials = Credentials::from_directory(directory).map_err(|error| error.to_string())?;
    #[cfg(feature = "quic")]
    let builder = builder.transport(Arc::new(rmi_core::transport::Quic::new(credentials.clone())));
    Ok(builder.transport(Arc::new(Tls::new(credentials))))
}

#[cfg(not(feature = "tls"))]
fn equip(_: NodeBuilder, directory: &std::path::Path) -> Result<NodeBuilder, String> {
    Err(format!("--tls {}: this program was built without TLS", directory.display()))
}
