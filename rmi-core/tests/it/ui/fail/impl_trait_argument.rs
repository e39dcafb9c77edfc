use rmi_core::{RemoteError, remote};

#[remote]
trait Thing {
    async fn act(&self, value: impl Send) -> Result<(), RemoteError>;
}

fn main() {}
