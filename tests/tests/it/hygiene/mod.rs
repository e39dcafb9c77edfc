//! The code that `#[remote]` writes means the same, whatever the names and lints around it.

mod forbidden;
mod names;
mod shapes;
mod values;
mod written;

use forbidden::{Branch as _, Desk, Shelf};
use rmi_core::{Interface, Node, Proxy};

/// A proxy to the object over TCP; the nodes must be kept.
async fn far<T: ?Sized + Interface>(object: Proxy<T>) -> (Proxy<T>, [Node; 2]) {
    let host = Node::builder().listen("tcp://127.0.0.1:0").start().await.unwrap();
    let caller = Node::builder().start().await.unwrap();
    let far = caller.proxy(&host.export(&object).unwrap()).unwrap();
    (far, [host, caller])
}

#[tokio::test]
async fn what_forbids_every_lint_is_remote() {
    let (desk, _nodes) = far(Proxy::<dyn Shelf<u8, 2>>::new(Desk)).await;
    assert_eq!(desk.open("abc", &[], Some("d")).await.unwrap(), 4);
    assert_eq!((desk.short().await.unwrap(), desk.given().await.unwrap()), (2, 3));
    assert_eq!(desk.early(false).await.unwrap(), Some(vec![1]));
    assert_eq!(desk.put(1, None).await.unwrap().open("", &[], None).await.unwrap(), 0);
}
