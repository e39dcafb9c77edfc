use rmi_core::{RemoteError, remote};

#[remote]
trait Thing {
    #[remote(idempotant)]
    async fn act(&self) -> Result<(), RemoteError>;
}

fn main() {}
