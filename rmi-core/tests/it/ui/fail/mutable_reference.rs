use rmi_core::{RemoteError, remote};

#[remote]
trait Thing {
    async fn act(&self, value: &mut u8) -> Result<(), RemoteError>;
}

fn main() {}
