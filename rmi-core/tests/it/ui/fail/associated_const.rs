use rmi_core::{RemoteError, remote};

#[remote]
trait Thing {
    const SIZE: usize;
    async fn act(&self) -> Result<(), RemoteError>;
}

fn main() {}
