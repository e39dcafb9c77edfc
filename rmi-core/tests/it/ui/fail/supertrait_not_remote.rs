use rmi_core::{RemoteError, remote};

trait Plain: Send + Sync {}

#[remote]
trait Thing: Plain {
    async fn act(&self) -> Result<(), RemoteError>;
}

fn main() {}
