use rmi_core::{RemoteError, remote};

#[remote]
trait Thing {
    async fn act(&self, value: Option<Option<u8>>) -> Result<(), RemoteError>;
}

fn main() {}
