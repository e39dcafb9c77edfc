//! The `rmi` command as a user runs it.

use std::process::Output;

use rmi_core::{Node, Registry};
use serde_json::Value;
use tokio::process::Command;

use crate::naming::echo;
use crate::process::Process;

pub(crate) async fn rmi(endpoint: &str, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_rmi"))
        .args(arguments)
        .env("RMI_REGISTRY", endpoint)
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

struct Setting {
    _directory: tempfile::TempDir,
    process: Process,
    _host: Node,
    registry: Registry,
}

async fn setting() -> Setting {
    let directory = tempfile::tempdir().unwrap();
    let process = Process::start(&directory.path().join("names.redb"), "tcp://127.0.0.1:0").await;
    let host = Node::builder().listen("tcp://127.0.0.1:0").start().await.unwrap();
    let registry = Registry::connect(&host, &*process.endpoint).await.unwrap();
    registry.bind("bank/main", &echo()).await.unwrap();
    Setting { _directory: directory, process, _host: host, registry }
}

#[tokio::test]
async fn list_lookup_describe_and_unbind_do_what_they_say() {
    let setting = setting().await;
    let endpoint = &setting.process.endpoint;
    let (status, out, _) = rmi(endpoint, &["list"]).await;
    assert_eq!((status, out.as_str()), (0, "bank/main       1  Echo\n"));
    let (status, reference, _) = rmi(endpoint, &["lookup", "bank/main"]).await;
    assert_eq!(status, 0);
    assert!(reference.starts_with("rmi:") && reference.contains("?interface=Echo&at=tcp://127.0.0.1:"), "{reference}");
    let (status, out, _) = rmi(endpoint, &["describe", "bank/main"]).await;
    assert_eq!(status, 0);
    assert!(out.contains("verified   yes") && out.contains("interface  Echo"), "{out}");
    let (status, out, _) = rmi(endpoint, &["describe", reference.trim()]).await;
    assert!(status == 0 && out.contains("interface  Echo"), "{out}");
    let (status, out, _) = rmi(endpoint, &["unbind", "bank/main"]).await;
    assert_eq!((status, out.as_str()), (0, "bank/main is free (revision 2)\n"));
    let (status, out, error) = rmi(endpoint, &["lookup", "bank/main"]).await;
    assert_eq!((status, out.as_str(), error.as_str()), (1, "", "rmi: bank/main is not bound\n"));
}

#[tokio::test]
async fn json_is_one_object_a_line() {
    let setting = setting().await;
    let endpoint = &setting.process.endpoint;
    setting.registry.bind("bank/other", &echo()).await.unwrap();
    let (_, out, _) = rmi(endpoint, &["list", "--json"]).await;
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["name"], &lines[0]["verified"]), (&"bank/main".into(), &true.into()));
    assert_eq!(lines[1]["object"]["interfaces"][0], "Echo");
    for action in [&["lookup", "bank/main"][..], &["describe", "bank/main"], &["ping", "bank/main"], &["ping"]] {
        let (status, out, error) = rmi(endpoint, &[action, &["--json"]].concat()).await;
        assert_eq!(status, 0, "{error}");
        assert!(serde_json::from_str::<Value>(&out).unwrap().is_object());
    }
}

#[tokio::test]
async fn ping_prints_a_summary() {
    let setting = setting().await;
    let (status, out, _) = rmi(&setting.process.endpoint, &["ping", "--count", "5"]).await;
    assert_eq!(status, 0);
    assert!(out.contains(": 5 calls, min ") && out.contains(" p99 "), "{out}");
}

#[tokio::test]
async fn ping_says_which_way_it_took_and_takes_the_one_that_it_is_told() {
    let setting = setting().await;
    let endpoint = &setting.process.endpoint;
    let directory = tempfile::tempdir().unwrap();
    let unix = format!("unix:{}/s", directory.path().display());
    let host = Node::builder().listen("tcp://127.0.0.1:0").listen(&unix).start().await.unwrap();
    let registry = Registry::connect(&host, &**endpoint).await.unwrap();
    registry.bind("two/ways", &echo()).await.unwrap();
    let tcp = host.endpoints()[0].to_string();
    for (via, way) in [(None, &unix), (Some("tcp"), &tcp), (Some("unix"), &unix), (Some(&*tcp), &tcp)] {
        let forced = via.map_or(vec![], |via| vec!["--via", via]);
        let (status, out, error) = rmi(endpoint, &[&["ping", "two/ways"][..], &forced].concat()).await;
        assert_eq!(status, 0, "{error}");
        assert!(out.starts_with(&format!("two/ways over {way}: 10 calls, ")), "{out}");
    }
    let (status, _, error) = rmi(endpoint, &["ping", "two/ways", "--via", "quic"]).await;
    assert_eq!(status, 2);
    assert!(
        error.contains(&format!("no endpoint of the object has the scheme \"quic\": it has {tcp}, {unix}")),
        "{error}"
    );
}

#[tokio::test]
async fn watch_prints_changes() {
    let setting = setting().await;
    let endpoint = setting.process.endpoint.clone();
    let watching = tokio::spawn(async move { rmi(&endpoint, &["watch", "w", "--count", "2", "--json"]).await });
    // The watch begins at some moment; changes go on until it has seen its two.
    let changes = async {
        for number in 0.. {
            setting.registry.bind(format!("w/{number}"), &echo()).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let (status, out, error) = tokio::select! {
        result = watching => result.unwrap(),
        () = changes => unreachable!("there are always more changes"),
    };
    assert_eq!(status, 0, "{error}");
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[1]["change"], &lines[2]["change"]), (3, &"bound".into(), &"bound".into()));
    assert!(lines[1]["revision"].as_u64() < lines[2]["revision"].as_u64());
}

#[tokio::test]
async fn without_a_registry_the_text_says_where_it_looked_and_how_to_start_one() {
    let (status, out, error) = rmi("unix:/nonexistent/registry.sock", &["list"]).await;
    assert_eq!((status, out.as_str()), (3, ""));
    assert!(error.contains("no registry answers at unix:/nonexistent/registry.sock"), "{error}");
    assert!(error.contains("Start one with `rmi-registry`"), "{error}");
}

#[tokio::test]
async fn wrong_usage_has_a_status_of_its_own() {
    let setting = setting().await;
    assert_eq!(rmi(&setting.process.endpoint, &["lookup", "a//b"]).await.0, 2);
    assert_eq!(rmi("nonsense", &["list"]).await.0, 2);
    assert_eq!(rmi("", &["describe", "rmi:nonsense"]).await.0, 2);
    assert_eq!(rmi("", &["frobnicate"]).await.0, 2);
}

#[tokio::test]
async fn completions_name_the_actions() {
    let (status, out, _) = rmi("tcp://127.0.0.1:1", &["completions", "bash"]).await;
    assert!(status == 0 && out.contains("describe"));
}
