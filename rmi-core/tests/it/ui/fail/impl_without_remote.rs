use rmi_core::{RemoteError, remote};

#[remote]
trait Thing {
    async fn act(&self, what: &str) -> Result<(), RemoteError>;
}

struct Vault;

impl Thing for Vault {
    async fn act(&self, what: &str) -> Result<(), RemoteError> {
        let _ = what;
        Ok(())
    }
}

fn main() {}
