use rmi_core::{RemoteError, remote};

#[remote]
trait Thing {
    async fn costarring(&self) -> Result<(), RemoteError>;
    async fn liquid(&self) -> Result<(), RemoteError>;
}

fn main() {}
