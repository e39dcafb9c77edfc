use rmi_core::{RemoteError, remote};

#[remote]
trait Thing {
    #[remote(oneway)]
    async fn act(&self) -> Result<u8, RemoteError>;
}

fn main() {}
