use rmi_core::{RemoteError, remote};

#[remote(nam = "x")]
trait Thing {
    async fn act(&self) -> Result<(), RemoteError>;
}

fn main() {}
