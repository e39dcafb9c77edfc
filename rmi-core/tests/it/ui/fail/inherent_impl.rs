use rmi_core::remote;

struct Vault;

#[remote]
impl Vault {}

fn main() {}
