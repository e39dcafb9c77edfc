use rmi_core::{RemoteError, remote};

#[remote]
trait Thing {
    async fn cast(&self) -> Result<(), RemoteError>;
}

fn main() {}
