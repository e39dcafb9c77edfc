use rmi_core::{RemoteError, remote};

#[remote]
trait Thing {
    fn act(&self) -> Result<(), RemoteError>;
}

fn main() {}
