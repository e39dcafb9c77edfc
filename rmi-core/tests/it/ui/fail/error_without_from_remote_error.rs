use rmi_core::remote;

#[derive(serde::Serialize, serde::Deserialize)]
struct Plain;

#[remote]
trait Thing {
    async fn act(&self) -> Result<(), Plain>;
}

fn main() {}
