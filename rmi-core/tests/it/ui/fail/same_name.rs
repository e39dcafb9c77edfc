use rmi_core::{RemoteError, remote};

#[remote]
trait Thing {
    #[remote(rename = "act")]
    async fn first(&self) -> Result<(), RemoteError>;
    async fn act(&self) -> Result<(), RemoteError>;
}

fn main() {}
