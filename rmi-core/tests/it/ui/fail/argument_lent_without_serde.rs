use rmi_core::{RemoteError, remote};

struct Plain;

#[remote]
trait Thing {
    async fn act(&self, what: &Plain) -> Result<(), RemoteError>;
}

fn main() {}
