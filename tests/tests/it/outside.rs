//! A program outside of this workspace, as a user writes it.

use std::path::Path;
use std::process::Command;

use rmi_registry::Running;
use rmi_registry::store::Memory;

const MANIFEST: &str = r#"
[package]
name = "outside"
version = "0.1.0"
edition = "2024"

[workspace]

[dependencies]
rmi-core = { path = "CORE" }
serde = { version = "1", features = ["derive"] }
tokio = { version = "1", features = ["rt-multi-thread", "macros", "time"] }
thiserror = "2"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_outside_the_workspace_compiles_and_runs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("Cargo.toml", &MANIFEST.replace("CORE", root.join("rmi-core").to_str().unwrap()));
    write("src/main.rs", include_str!("outside/main.rs"));
    // The same versions as here, so that nothing needs to be fetched.
    std::fs::copy(root.join("Cargo.lock"), directory.path().join("Cargo.lock")).unwrap();
    let registry = Running::start(&["tcp://127.0.0.1:0".parse().unwrap()], Memory).await.unwrap();
    let place = registry.endpoints()[0].to_string();
    let socket = directory.path().join("bank.sock");
    let target = root.join("target/outside");
    let run = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--offline", "--", &place, socket.to_str().unwrap()])
        .current_dir(directory.path())
        .env("CARGO_TARGET_DIR", target)
        .output()
        .unwrap();
    let (out, error) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{error}");
    assert!(!error.contains("warning"), "{error}");
    assert_eq!(out, "balance 500, 100 cents short, told 500, subscribed, a plain call says 500\n");
    registry.shutdown().await;
}
