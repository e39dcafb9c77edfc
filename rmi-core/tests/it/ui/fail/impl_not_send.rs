use std::rc::Rc;

use rmi_core::{RemoteError, remote};

#[remote]
trait Thing {
    async fn act(&self) -> Result<u8, RemoteError>;
}

struct Vault;

#[remote]
impl Thing for Vault {
    async fn act(&self) -> Result<u8, RemoteError> {
        let shared = Rc::new(5);
        std::future::ready(()).await;
        Ok(*shared)
    }
}

fn main() {}
