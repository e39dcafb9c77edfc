use rmi_core::remote;

struct Plain;

#[remote]
trait Thing {
    async fn one(&self, what: Plain) -> Result<Plain, Plain>;
    async fn two(&self, what: &Plain, of: Vec<Plain>) -> u8;
}

fn main() {}
