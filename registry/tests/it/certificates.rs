//! Certificates as a user makes and uses them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use rmi_core::transport::{Credentials, Quic, Tls};
use rmi_core::{Node, Registry};

use crate::command::rmi;
use crate::naming::echo;
use crate::process::Process;

/// What `rmi cert` says, which must have worked.
async fn cert(arguments: &[&str]) -> String {
    let (status, out, error) = rmi("", &[&["cert"], arguments].concat()).await;
    assert_eq!(status, 0, "{error}");
    out
}

/// An authority, a host `names` and a caller `alice`.
async fn certificates() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let pki = directory.path().join("pki");
    let pki = pki.to_str().unwrap();
    cert(&["authority", pki]).await;
    cert(&["host", pki, "names", "localhost", "127.0.0.1"]).await;
    cert(&["caller", pki, "alice"]).await;
    directory
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_registry_is_used_over_tls_and_quic_by_who_has_a_certificate() {
    let directory = certificates().await;
    let own = |name: &str| directory.path().join("pki").join(name);
    for scheme in ["tls", "quic"] {
        let data = directory.path().join(format!("{scheme}.redb"));
        let host = own("names");
        let listen = format!("{scheme}://127.0.0.1:0");
        let process = Process::start_using(&data, &listen, &["--tls", host.to_str().unwrap()]).await;
        let credentials = Credentials::from_directory(own("alice")).unwrap();
        let node = Node::builder().transport(Arc::new(Tls::new(credentials.clone())));
        let node = node.transport(Arc::new(Quic::new(credentials))).listen("tcp://127.0.0.1:0").start().await.unwrap();
        let registry = Registry::connect(&node, &*process.endpoint).await.unwrap();
        registry.bind("bank/main", &echo()).await.unwrap();
        // By the key that the registry printed, and by the name that the certificate is for.
        let (address, _) = process.endpoint.split_once('?').expect("the endpoint says whose key it is");
        for place in [process.endpoint.as_str(), address, &address.replace("127.0.0.1", "localhost")] {
            let alice = own("alice");
            let (status, out, error) = rmi("", &["--registry", place, "--tls", alice.to_str().unwrap(), "list"]).await;
            assert_eq!((status, out.as_str()), (0, "bank/main       1  Echo\n"), "{error}");
        }
        for (environment, arguments) in
            [("", &["--registry", &process.endpoint, "list"][..]), (&process.endpoint, &["list"])]
        {
            let (status, _, error) = rmi(environment, arguments).await;
            assert!(status == 2 && error.contains("needs --tls DIR"), "{error}");
        }
        process.terminate().await;
    }
}

#[tokio::test]
async fn who_has_a_certificate_of_another_authority_is_told_so() {
    let (ours, theirs) = (certificates().await, certificates().await);
    let host = ours.path().join("pki/names");
    let data = ours.path().join("names.redb");
    let process = Process::start_using(&data, "tls://127.0.0.1:0", &["--tls", host.to_str().unwrap()]).await;
    let stranger = theirs.path().join("pki/alice");
    let stranger = stranger.to_str().unwrap();
    let (status, _, error) = rmi("", &["--registry", &process.endpoint, "--tls", stranger, "list"]).await;
    assert!(status == 3 && error.contains("our certificate is not signed by its authority"), "{error}");
    let (address, _) = process.endpoint.split_once('?').unwrap();
    let (status, _, error) = rmi("", &["--registry", address, "--tls", stranger, "list"]).await;
    assert!(status == 3 && error.contains("its certificate is not signed by our authority"), "{error}");
}

#[tokio::test]
async fn keys_are_for_their_owner_alone_and_never_lost_by_accident() {
    let directory = certificates().await;
    let pki = directory.path().join("pki");
    for key in ["authority-key.pem", "names/key.pem", "alice/key.pem"] {
        assert_eq!(mode(&pki.join(key)), 0o600, "{key}");
    }
    assert_eq!((mode(&pki), mode(&pki.join("alice"))), (0o700, 0o700));
    let before = fs::read(pki.join("alice/key.pem")).unwrap();
    let again = ["cert", "caller", pki.to_str().unwrap(), "alice"];
    let (status, _, error) = rmi("", &again).await;
    assert!(status == 1 && error.contains("is there already; --force overwrites it"), "{error}");
    assert_eq!(fs::read(pki.join("alice/key.pem")).unwrap(), before);
    let (status, _, error) = rmi("", &[&again[..], &["--force"]].concat()).await;
    assert_eq!(status, 0, "{error}");
    assert_ne!(fs::read(pki.join("alice/key.pem")).unwrap(), before);
    let (status, _, error) = rmi("", &["cert", "authority", pki.to_str().unwrap()]).await;
    assert!(status == 1 && error.contains("authority.pem is there already"), "{error}");
}

#[tokio::test]
async fn a_name_that_nobody_could_check_is_refused() {
    let directory = certificates().await;
    let pki = directory.path().join("pki");
    let pki = pki.to_str().unwrap();
    for name in ["../alice", "alice@bank", "-a", "127.0.0.1", "42", "", "a..b", "a/b", "*"] {
        let (status, _, error) = rmi("", &["cert", "caller", "--", pki, name]).await;
        assert!(status == 2 && error.contains("is not a name"), "{name}: {error}");
    }
    let (status, _, error) = rmi("", &["cert", "caller", "/nowhere/pki", "alice"]).await;
    assert!(
        status == 1 && error.contains("/nowhere/pki/authority.pem") && error.contains("rmi cert authority"),
        "{error}"
    );
    let (status, _, error) = rmi("", &["cert", "host", pki, "far", "--days", "0"]).await;
    assert_eq!(status, 2, "{error}");
}

#[tokio::test]
async fn what_was_made_is_said_and_as_json() {
    let directory = tempfile::tempdir().unwrap();
    let pki = directory.path().to_str().unwrap();
    let out = cert(&["authority", pki]).await;
    assert!(out.contains("keep it secret") && out.contains(&format!("rmi cert host {pki} NAME")), "{out}");
    let out = cert(&["host", pki, "bank", "bank.example", "10.0.0.7"]).await;
    assert!(out.contains("is for bank, bank.example, 10.0.0.7, key "), "{out}");
    assert!(out.contains(&format!("rmi-registry --listen tls://0.0.0.0:7000 --tls {pki}/bank")), "{out}");
    let out = cert(&["caller", pki, "alice", "--json"]).await;
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    let key = Credentials::from_directory(directory.path().join("alice")).unwrap().key().to_string();
    assert_eq!((&value["names"][0], &value["key"]), (&"alice".into(), &key.into()));
}

#[tokio::test]
async fn credentials_that_cannot_be_used_are_named() {
    let (status, _, error) = rmi("tls://127.0.0.1:1", &["--tls", "/nowhere", "list"]).await;
    assert!(status == 2 && error.contains("/nowhere/authority.pem"), "{error}");
}
