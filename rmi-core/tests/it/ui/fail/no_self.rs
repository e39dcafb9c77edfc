use rmi_core::{RemoteError, remote};

#[remote]
trait Thing {
    async fn act() -> Result<(), RemoteError>;
}

fn main() {}
