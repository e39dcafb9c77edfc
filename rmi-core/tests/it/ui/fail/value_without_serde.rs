use rmi_core::{RemoteError, remote};

struct Plain;

#[remote]
trait Thing {
    async fn act(&self) -> Result<Vec<Plain>, RemoteError>;
}

fn main() {}
