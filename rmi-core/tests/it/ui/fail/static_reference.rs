use rmi_core::{RemoteError, remote};

#[remote]
trait Thing {
    async fn act(&self, what: &'static str) -> Result<(), RemoteError>;
}

fn main() {}
