//! A program outside of this workspace, as a user writes it.

use std::path::Path;
use std::process::Command;

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

#[test]
fn a_program_outside_the_workspace_compiles_and_runs() {
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
    let target = root.join("target/outside");
    let run = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--offline"])
        .current_dir(directory.path())
        .env("CARGO_TARGET_DIR", target)
        .output()
        .unwrap();
    let (out, error) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{error}");
    assert!(!error.contains("warning"), "{error}");
    assert_eq!(out, "balance 500, 100 cents short, told 500, subscribed, a plain call says 500\n");
}
