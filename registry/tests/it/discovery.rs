//! Registries that are found with no address given: real processes on two machines that share a link and nothing else.

use std::os::unix::fs::MetadataExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rmi_core::Endpoint;
use rmi_core::naming::{Announcement, NamingError};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Two network namespaces that are joined to each other and to nothing else.
struct Machines([String; 2]);

impl Machines {
    /// `None` without root.
    fn new() -> Option<Self> {
        if !std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
            eprintln!("not run: network namespaces need root");
            return None;
        }
        let machines = Self(["a", "b"].map(|side| format!("rmi-found-{}-{side}", std::process::id())));
        let [a, b] = &machines.0;
        ip(&["netns", "add", a]);
        ip(&["netns", "add", b]);
        ip(&["link", "add", "near", "netns", a, "type", "veth", "peer", "name", "near", "netns", b]);
        for (name, address) in [(a, "10.9.0.1/24"), (b, "10.9.0.2/24")] {
            ip(&["-n", name, "address", "add", address, "dev", "near"]);
            ip(&["-n", name, "link", "set", "near", "up"]);
            ip(&["-n", name, "link", "set", "lo", "up"]);
        }
        machines.0.iter().for_each(|name| until_up(name));
        Some(machines)
    }

    fn command(&self, machine: usize, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0[machine], program]).kill_on_drop(true);
        command.env("RUST_LOG", "warn").env_remove("RMI_REGISTRY");
        command
    }

    /// What `rmi` printed on this machine, and its exit status.
    async fn rmi(&self, machine: usize, arguments: &[&str]) -> (i32, String, String) {
        let output = self.command(machine, env!("CARGO_BIN_EXE_rmi")).args(arguments).output().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// A registry that announces itself on the first machine, and where it listens.
    async fn registry(&self, listen: &str) -> (Child, String) {
        let mut command = self.command(0, env!("CARGO_BIN_EXE_rmi-registry"));
        let mut child =
            command.args(["--memory", "--announce", "--listen", listen]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().expect("the registry says where it listens");
        (child, line.strip_prefix("listening on ").expect(&line).to_owned())
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for name in &self.0 {
            ip(&["netns", "delete", name]);
        }
    }
}

/// The kernel takes up to a second to say of a link that it is up; until then nobody multicasts on it.
fn until_up(name: &str) {
    let begun = Instant::now();
    while !ip(&["-n", name, "link", "show", "near"]).contains("state UP") {
        assert!(begun.elapsed() < Duration::from_secs(10), "the link of {name} does not come up");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn ip(arguments: &[&str]) -> String {
    let output = std::process::Command::new("ip").args(arguments).output().unwrap();
    assert!(output.status.success(), "ip {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn a_registry_on_the_same_network_is_found_with_no_address_given_until_it_ends() {
    let Some(machines) = Machines::new() else { return };
    let (mut registry, listening) = machines.registry("tcp://0.0.0.0:0?plaintext").await;
    let found = listening.replace("0.0.0.0", "10.9.0.1");
    for machine in [0, 1] {
        let (status, out, error) = machines.rmi(machine, &["--discover", "ping", "--count", "1", "--json"]).await;
        assert!(status == 0, "from machine {machine}: {out} {error}");
    }
    let (listed, objects) = tokio::join!(machines.rmi(0, &["discover"]), machines.rmi(1, &["discover", "--json"]));
    assert_eq!(listed, (0, format!("{found}\n"), String::new()));
    assert_eq!(objects, (0, format!("{{\"endpoints\":[\"{found}\"]}}\n"), String::new()));

    let id = registry.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
    assert!(registry.wait().await.unwrap().success());
    let (status, out, _) = machines.rmi(1, &["discover", "--time", "0.5"]).await;
    assert_eq!((status, out.as_str()), (0, ""));
    let (status, _, error) = machines.rmi(1, &["--discover", "list"]).await;
    assert!(status == 3 && error.contains("none announces itself"), "{error}");
}

#[tokio::test]
async fn what_only_this_machine_can_use_is_not_announced() {
    let endpoints: Vec<Endpoint> =
        ["tcp://127.0.0.1:1099", "unix:/run/x"].iter().map(|text| text.parse().unwrap()).collect();
    let refused = Announcement::begin(&endpoints).unwrap_err();
    assert!(matches!(refused, NamingError::NotAnnounced), "{refused}");
    let arguments = ["--memory", "--announce", "--listen", "tcp://127.0.0.1:0"];
    let output = Command::new(env!("CARGO_BIN_EXE_rmi-registry")).args(arguments).output().await.unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("nothing to announce"), "{text}");
}
