use rmi_core::remote;

#[remote]
trait Thing {
    async fn act(&self);
}

fn main() {}
