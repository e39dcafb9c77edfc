use rmi_core::{RemoteError, remote};

struct Plain;

impl From<RemoteError> for Plain {
    fn from(_: RemoteError) -> Self {
        Self
    }
}

#[remote]
trait Thing {
    async fn act(&self) -> Result<(), Plain>;
}

fn main() {}
