//! One interface in two programs, each of which has its trait in a module of its own and another build of it.

use std::process::Stdio;

use rmi_core::{Child, ErrorKind, Executed, Node, Proxy, Registry, RemoteError, remote};
use rmi_registry::Running;
use rmi_registry::store::Durable;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use desk::Account;

const BRANCH: &str = env!("CARGO_BIN_EXE_branch");

mod desk {
    use rmi_core::{Proxy, RemoteError, remote};

    #[remote]
    pub(super) trait Account {
        async fn owner(&self) -> Result<String, RemoteError>;
        /// The other build has no memo.
        async fn deposit(&self, cents: u64, memo: Option<String>) -> Result<String, RemoteError>;
        /// The other build has a memo.
        async fn withdraw(&self, cents: u64) -> Result<String, RemoteError>;
        /// The other build has one more argument in front.
        async fn transfer(&self, cents: u64) -> Result<String, RemoteError>;
        /// The other build does not have it.
        async fn close(&self) -> Result<(), RemoteError>;
        async fn visit(&self, other: Proxy<dyn Account>) -> Result<Vec<String>, RemoteError>;
    }
}

struct Desk;

#[remote]
impl Account for Desk {
    async fn owner(&self) -> Result<String, RemoteError> {
        Ok("the desk".into())
    }
    async fn deposit(&self, cents: u64, memo: Option<String>) -> Result<String, RemoteError> {
        Ok(format!("{cents} in, {memo:?}"))
    }
    async fn withdraw(&self, cents: u64) -> Result<String, RemoteError> {
        Ok(format!("{cents} out"))
    }
    async fn transfer(&self, cents: u64) -> Result<String, RemoteError> {
        Ok(format!("{cents} away"))
    }
    async fn close(&self) -> Result<(), RemoteError> {
        Ok(())
    }
    async fn visit(&self, _: Proxy<dyn Account>) -> Result<Vec<String>, RemoteError> {
        Ok(Vec::new())
    }
}

/// A node, and a branch that it started.
async fn branch() -> (Node, Child<dyn Account>) {
    let node = Node::builder().start().await.unwrap();
    let child = node.spawn(format!("exec:{BRANCH}")).await.unwrap();
    (node, child)
}

#[tokio::test]
async fn programs_that_have_a_trait_in_different_modules_call_each_other() {
    let (_node, branch) = branch().await;
    assert_eq!(branch.proxy().owner().await.unwrap(), "the branch");
    assert_eq!(branch.proxy().visit(Proxy::new(Desk)).await.unwrap()[0], "the desk");
}

#[tokio::test]
async fn an_argument_at_the_end_may_be_missing_or_surplus_in_either_direction() {
    let (_node, branch) = branch().await;
    assert_eq!(branch.proxy().deposit(5, Some("tip".into())).await.unwrap(), "5 in");
    assert_eq!(branch.proxy().withdraw(7).await.unwrap(), "7 out, None");
    let visited = branch.proxy().visit(Proxy::new(Desk)).await.unwrap();
    assert_eq!(visited[1..3], ["5 in, None", "7 out"]);
}

#[tokio::test]
async fn an_argument_that_was_put_in_front_is_an_error_that_names_the_method() {
    let (_node, branch) = branch().await;
    let error = branch.proxy().transfer(9).await.unwrap_err();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::BadArguments, Executed::No));
    assert!(error.message().starts_with("argument `to` of Account/transfer cannot be decoded: "), "{error}");
    let visited = branch.proxy().visit(Proxy::new(Desk)).await.unwrap();
    assert!(visited[3].starts_with("argument `cents` of Account/transfer cannot be decoded: "), "{}", visited[3]);
}

#[tokio::test]
async fn a_method_that_the_other_build_does_not_have_is_told_with_the_traits_of_both_sides() {
    let (_node, branch) = branch().await;
    let error = branch.proxy().close().await.unwrap_err();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::NoSuchMethod, Executed::No));
    let text = "Account/close of `it::names::two_programs::desk::Account` is not there; one of the two programs is \
                older, or has another trait of that name: the object's Account is `branch::counter::Account`, which has \
                no method ";
    assert!(error.message().starts_with(text), "{error}");
    let methods = "; its methods are owner, deposit, withdraw, transfer, freeze, visit";
    assert!(error.message().ends_with(methods), "{error}");
    let frozen = branch.proxy().visit(Proxy::new(Desk)).await.unwrap().remove(4);
    assert!(frozen.starts_with("Account/freeze of `branch::counter::Account` is not there; "), "{frozen}");
    assert!(frozen.contains("the object's Account is `it::names::two_programs::desk::Account`"), "{frozen}");
}

#[tokio::test]
async fn a_name_bound_by_another_program_is_found_in_the_file_of_an_earlier_registry() {
    let directory = tempfile::tempdir().unwrap();
    let start = async || {
        let store = Durable::open(directory.path().join("names.redb")).unwrap();
        Running::start(&["tcp://127.0.0.1:0".parse().unwrap()], store).await.unwrap()
    };
    let earlier = start().await;
    let mut command = Command::new(BRANCH);
    command.args(["bind", &earlier.endpoints()[0].to_string(), "main"]).stdout(Stdio::piped()).kill_on_drop(true);
    let mut branch = command.spawn().unwrap();
    let said = BufReader::new(branch.stdout.take().unwrap()).lines().next_line().await.unwrap();
    assert_eq!(said.as_deref(), Some("bound"));
    earlier.shutdown().await;

    let later = start().await;
    let node = Node::builder().start().await.unwrap();
    let registry = Registry::connect(&node, &later.endpoints()[0]).await.unwrap();
    assert_eq!(*registry.resolve("main").await.unwrap().object.interfaces, ["Account"]);
    let account: Proxy<dyn Account> = registry.lookup("main").await.unwrap();
    assert_eq!(account.owner().await.unwrap(), "the branch");
    later.shutdown().await;
}
