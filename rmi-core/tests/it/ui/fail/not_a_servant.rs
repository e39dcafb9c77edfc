use rmi_core::{Proxy, RemoteError, remote};

#[remote]
trait Thing {
    async fn act(&self) -> Result<(), RemoteError>;
}

struct Other;

fn make() -> Proxy<dyn Thing> {
    Proxy::new(Other)
}

fn main() {}
