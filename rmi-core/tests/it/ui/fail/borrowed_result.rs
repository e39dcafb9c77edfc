use rmi_core::{RemoteError, remote};

#[remote]
trait Thing {
    async fn act(&self) -> Result<&str, RemoteError>;
}

fn main() {}
