use rmi_core::{RemoteError, remote};

#[remote]
trait Thing {
    async fn act(&self, (a, b): (u8, u8)) -> Result<(), RemoteError>;
}

fn main() {}
