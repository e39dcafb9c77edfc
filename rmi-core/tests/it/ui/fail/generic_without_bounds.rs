use rmi_core::{RemoteError, remote};

#[remote]
trait Store<T> {
    async fn put(&self, value: T) -> Result<(), RemoteError>;
}

fn main() {}
