use rmi_core::{RemoteError, remote};

mod own {
    pub enum Option<T> {
        Some(T),
        None,
    }
}

#[remote]
trait Thing {
    async fn act(&self, what: own::Option<&str>) -> Result<(), RemoteError>;
}

fn main() {
    let _ = (own::Option::Some(1), own::Option::<u8>::None);
}
