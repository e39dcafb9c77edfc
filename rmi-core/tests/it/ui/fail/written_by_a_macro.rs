use rmi_core::{RemoteError, remote};

struct Plain;

macro_rules! store {
    ($name:ident of $t:ty) => {
        #[remote]
        trait $name {
            async fn put(&self, value: $t) -> Result<(), RemoteError>;
        }
    };
}

store!(Numbers of u8);
store!(Plains of Plain);

fn main() {}
