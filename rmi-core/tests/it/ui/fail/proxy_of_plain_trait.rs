use rmi_core::{Proxy, RemoteError, remote};

trait Plain: Send + Sync {}

#[remote]
trait Thing {
    async fn act(&self, what: Proxy<dyn Plain>) -> Result<(), RemoteError>;
}

fn main() {}
