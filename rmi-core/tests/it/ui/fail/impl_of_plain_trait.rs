use rmi_core::remote;

trait Plain: Send + Sync {
    fn act(&self);
}

struct Vault;

#[remote]
impl Plain for Vault {
    fn act(&self) {}
}

fn main() {}
