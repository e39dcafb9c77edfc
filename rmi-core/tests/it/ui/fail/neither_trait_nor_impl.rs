use rmi_core::remote;

#[remote]
struct Vault;

fn main() {}
