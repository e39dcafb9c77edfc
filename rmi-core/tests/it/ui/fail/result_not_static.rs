use rmi_core::{RemoteError, remote};

#[remote]
trait Thing {
    async fn act(&self) -> Result<std::borrow::Cow<'_, str>, RemoteError>;
}

fn main() {}
