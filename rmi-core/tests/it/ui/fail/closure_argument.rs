use rmi_core::{RemoteError, remote};

#[remote]
trait Thing {
    async fn act(&self, then: Box<dyn Fn() + Send>) -> Result<(), RemoteError>;
}

fn main() {}
