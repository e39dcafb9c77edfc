use rmi_core::{RemoteError, remote};

#[remote]
trait Thing<'a> {
    async fn act(&self) -> Result<(), RemoteError>;
}

fn main() {}
