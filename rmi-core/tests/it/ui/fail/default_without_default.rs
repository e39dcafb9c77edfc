use rmi_core::{RemoteError, remote};

#[derive(serde::Serialize, serde::Deserialize)]
struct Plain;

#[remote]
trait Thing {
    async fn act(&self, #[serde(default)] what: Plain) -> Result<(), RemoteError>;
}

fn main() {}
