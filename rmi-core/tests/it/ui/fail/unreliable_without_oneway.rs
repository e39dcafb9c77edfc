use rmi_core::{RemoteError, remote};

#[remote]
trait Thing {
    #[remote(unreliable)]
    async fn act(&self) -> Result<(), RemoteError>;
}

fn main() {}
