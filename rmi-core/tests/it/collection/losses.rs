//! What is left on the books when connections and claims come to nothing.

use super::*;

#[tokio::test]
async fn an_object_that_is_not_held_keeps_no_connection() {
    let (host, caller) = (host("tcp://127.0.0.1:0").await, Node::builder().start().await.unwrap());
    let endpoints = host.node.endpoints().to_vec();
    let none = rmi_core::ObjectRef::new(host.node.id(), rmi_core::ObjectId::random(), vec!["Thing".into()], endpoints);
    let thing: Proxy<dyn Thing> = caller.proxy(&none).unwrap();
    assert_eq!(thing.number().await.unwrap_err().executed(), Executed::No);
    drop(thing);
    until("the connection is closed", || caller.connections() == 0).await;
}
