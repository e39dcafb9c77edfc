use rmi_core::{RemoteError, remote};

#[remote]
trait Thing {
    async fn act<T: Send>(&self, value: T) -> Result<(), RemoteError>;
}

fn main() {}
