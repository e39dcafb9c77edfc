use rmi_core::{RemoteError, remote};

#[remote(name = "rmi.Object")]
trait Thing {
    async fn touch(&self) -> Result<(), RemoteError>;
}

fn main() {}
