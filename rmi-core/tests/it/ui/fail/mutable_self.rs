use rmi_core::{RemoteError, remote};

#[remote]
trait Thing {
    async fn act(&mut self) -> Result<(), RemoteError>;
}

fn main() {}
