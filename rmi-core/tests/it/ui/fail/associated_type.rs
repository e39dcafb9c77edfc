use rmi_core::{RemoteError, remote};

#[remote]
trait Thing {
    type Value;
    async fn act(&self) -> Result<(), RemoteError>;
}

fn main() {}
