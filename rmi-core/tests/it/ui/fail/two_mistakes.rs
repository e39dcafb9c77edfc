use rmi_core::{RemoteError, remote};

#[remote]
trait Thing {
    async fn first(&mut self) -> Result<(), RemoteError>;
    fn second(&self) -> Result<(), RemoteError>;
}

fn main() {}
