use rmi_core::{RemoteError, remote};

#[remote(name = "rmi.Source")]
trait Source {
    async fn act(&self) -> Result<(), RemoteError>;
}

fn main() {}
