use rmi_core::{RemoteError, remote};

#[remote]
trait Thing {
    async fn act(&self) -> Result<Option<()>, RemoteError>;
}

fn main() {}
