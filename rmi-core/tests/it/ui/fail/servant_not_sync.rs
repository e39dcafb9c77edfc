use std::cell::Cell;

use rmi_core::{RemoteError, remote};

#[remote]
trait Thing {
    async fn act(&self) -> Result<u8, RemoteError>;
}

struct Vault(Cell<u8>);

#[remote]
impl Thing for Vault {
    async fn act(&self) -> Result<u8, RemoteError> {
        Ok(self.0.get())
    }
}

fn main() {}
