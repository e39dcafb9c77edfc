use rmi_core::remote;

type Count = u32;

#[remote]
trait Thing {
    async fn act(&self) -> Count;
}

fn main() {}
