use rmi_core::{RemoteError, remote};

struct Plain;

#[remote]
trait Thing {
    async fn first(&self, count: u8) -> Result<(), RemoteError>;
    async fn second(&self, count: u8, what: Plain, note: Option<&str>) -> Result<(), RemoteError>;
}

fn main() {}
