use rmi_core::{RemoteError, remote};

#[remote]
trait Thing {
    #[remote(timeout = "soon")]
    async fn act(&self) -> Result<(), RemoteError>;
}

fn main() {}
