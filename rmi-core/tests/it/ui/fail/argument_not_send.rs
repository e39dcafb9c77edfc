use std::rc::Rc;

use rmi_core::{RemoteError, remote};

#[remote]
trait Thing {
    async fn act(&self, what: Rc<u8>) -> Result<u8, RemoteError>;
}

fn main() {}
