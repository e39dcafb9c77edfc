use rmi_core::{RemoteError, remote};

struct Plain;

#[remote]
trait Thing {
    async fn act(&self, what: Option<&Plain>, whole: Option<u8>) -> Result<(), RemoteError>;
}

fn main() {}
