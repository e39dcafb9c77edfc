//! Groups ARG and VER.

use rmi_core::{Bytes, Call, ErrorKind, Executed, MethodId, Proxy, RemoteError, remote};
use rmi_tests::renamed;
use serde::{Deserialize, Serialize};

use super::probe::{Probe, Setting, Unwritable, own_probe, setting};

#[tokio::test]
async fn an_argument_that_does_not_write_fails_at_the_caller() {
    let setting = setting().await;
    let (_, own) = own_probe();
    let error = setting.probe.take(own, Unwritable).await.unwrap_err().remote();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::BadArgument, Executed::No));
    assert!(
        error.message().contains("argument `value` of conformance.Probe/take")
            && error.message().contains("this does not write"),
        "{error}"
    );
    // Nothing was sent, so nothing was dialled, and the reference before it was not exported.
    assert_eq!((setting.host.connections(), setting.caller.exported()), (0, 0));
    setting.probe.nothing().await.unwrap();
}

#[tokio::test]
async fn a_result_that_does_not_write_is_an_error_and_no_hang() {
    let setting = setting().await;
    let error = setting.probe.give().await.unwrap_err().remote();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::BadResult, Executed::Yes));
    setting.probe.nothing().await.unwrap();
}

async fn send(setting: &Setting, method: &str, body: &'static [u8]) -> RemoteError {
    let call = Call::new(MethodId::of("conformance.Probe", method), Bytes::from_static(body));
    setting.caller.any_proxy(&setting.reference).invoke(call).await.err().expect("the body is bad")
}

#[tokio::test]
async fn malformed_arguments_fail_their_own_call_alone() {
    let setting = setting().await;
    for body in
        [&[][..], &[0xc1], &[0x91], &[0x92, 0x01], &[0xdd, 0xff, 0xff, 0xff, 0xff], &[0x01], &[0x91, 0xa1, 0xff]]
    {
        let error = send(&setting, "note", body).await;
        assert_eq!((error.kind(), error.executed()), (ErrorKind::BadArguments, Executed::No), "{body:?}: {error}");
    }
    setting.probe.nothing().await.unwrap();
    assert_eq!(setting.host.connections(), 1);
}

#[tokio::test]
async fn byte_strings_of_every_size_keep_every_value() {
    let setting = setting().await;
    for size in (0..300).chain([65_535, 65_536, 65_537]) {
        let bytes: Vec<u8> = (0..size).map(|at: usize| at.to_le_bytes()[0]).rev().collect();
        assert_eq!(setting.probe.echo(bytes.clone().into()).await.unwrap(), bytes);
        assert_eq!(setting.probe.grow(&bytes, 0).await.unwrap(), bytes);
    }
}

#[tokio::test]
async fn an_extension_type_is_refused_by_name() {
    let setting = setting().await;
    let error = send(&setting, "note", &[0x91, 0xd4, 0x09, 0x00]).await;
    assert_eq!(error.kind(), ErrorKind::BadArguments);
    assert!(error.message().contains("the extension type 9 is not used"), "{error}");
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Chain {
    End,
    Next(Box<Self>),
}

#[remote(name = "Chains")]
trait Chains {
    async fn depth(&self, chain: Chain) -> Result<u32, RemoteError>;
}

struct Counter;

#[remote]
impl Chains for Counter {
    async fn depth(&self, mut chain: Chain) -> Result<u32, RemoteError> {
        let mut depth = 0;
        while let Chain::Next(next) = chain {
            chain = *next;
            depth += 1;
        }
        Ok(depth)
    }
}

#[tokio::test]
async fn values_nested_without_end_are_refused() {
    let setting = setting().await;
    let reference = setting.host.export(&Proxy::<dyn Chains>::new(Counter)).unwrap();
    let chains: Proxy<dyn Chains> = setting.caller.proxy(&reference).unwrap();
    let chain = |depth: u32| (0..depth).fold(Chain::End, |chain, _| Chain::Next(Box::new(chain)));
    assert_eq!(chains.depth(chain(128)).await.unwrap(), 128);
    let error = chains.depth(chain(129)).await.unwrap_err();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::BadArgument, Executed::No));
    assert!(error.message().contains("it nests deeper than the limit of 128"), "{error}");
}

#[tokio::test]
async fn odd_numbers_survive() {
    let setting = setting().await;
    let odd = vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, f64::MIN_POSITIVE, f64::MAX];
    let back = setting.probe.floats(odd.clone()).await.unwrap();
    assert!(odd.iter().zip(&back).all(|(a, b)| a.to_bits() == b.to_bits()));
    for extreme in [(i64::MIN, u64::MAX, i128::MIN), (i64::MAX, 0, i128::MAX)] {
        assert_eq!(setting.probe.integers(extreme).await.unwrap(), extreme);
    }
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct OldOrder {
    id: u32,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct NewOrder {
    id: u32,
    #[serde(default)]
    note: Option<String>,
    #[serde(default)]
    rank: u8,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum OldKind {
    Small,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum NewKind {
    Small,
    Large,
}

#[remote]
trait OldOrders {
    async fn place(&self, order: OldOrder) -> Result<OldOrder, RemoteError>;
    async fn kind(&self, kind: OldKind) -> Result<OldKind, RemoteError>;
}

#[remote]
trait NewOrders {
    async fn place(
        &self,
        order: NewOrder,
        urgent: Option<bool>,
        #[serde(default)] copies: u8,
    ) -> Result<NewOrder, RemoteError>;
    async fn kind(&self, kind: NewKind) -> Result<NewKind, RemoteError>;
    async fn added(&self) -> Result<(), RemoteError>;
}

struct Shop;

#[remote]
impl OldOrders for Shop {
    async fn place(&self, order: OldOrder) -> Result<OldOrder, RemoteError> {
        Ok(order)
    }
    async fn kind(&self, kind: OldKind) -> Result<OldKind, RemoteError> {
        Ok(kind)
    }
}

#[remote]
impl NewOrders for Shop {
    async fn place(&self, order: NewOrder, urgent: Option<bool>, copies: u8) -> Result<NewOrder, RemoteError> {
        assert_eq!((urgent, copies), (None, 0));
        Ok(NewOrder { note: Some("seen".into()), ..order })
    }
    async fn kind(&self, kind: NewKind) -> Result<NewKind, RemoteError> {
        Ok(kind)
    }
    async fn added(&self) -> Result<(), RemoteError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_newer_caller_is_served_by_an_older_servant() {
    let setting = setting().await;
    let older = renamed(Proxy::<dyn OldOrders>::new(Shop), "OldOrders", "NewOrders");
    let reference = setting.host.export(&older.cast::<dyn NewOrders>().unwrap()).unwrap();
    let orders: Proxy<dyn NewOrders> = setting.caller.proxy(&reference).unwrap();
    let order = NewOrder { id: 7, note: Some("n".into()), rank: 2 };
    // Surplus arguments and fields are skipped; what does not come back takes its default.
    let back = orders.place(order, Some(true), 3).await.unwrap();
    assert_eq!(back, NewOrder { id: 7, note: None, rank: 0 });
    assert_eq!(orders.added().await.unwrap_err().kind(), ErrorKind::NoSuchMethod);
    let error = orders.kind(NewKind::Large).await.unwrap_err();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::BadArguments, Executed::No));
    assert!(error.message().contains("Large"), "{error}");
}

#[tokio::test]
async fn an_older_caller_is_served_by_a_newer_servant() {
    let setting = setting().await;
    let newer = renamed(Proxy::<dyn NewOrders>::new(Shop), "NewOrders", "OldOrders");
    let reference = setting.host.export(&newer.cast::<dyn OldOrders>().unwrap()).unwrap();
    let orders: Proxy<dyn OldOrders> = setting.caller.proxy(&reference).unwrap();
    assert_eq!(orders.place(OldOrder { id: 7 }).await.unwrap(), OldOrder { id: 7 });
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_an_error_that_names_the_method() {
    let setting = setting().await;
    let orders = Proxy::<dyn NewOrders>::new(Shop);
    let far = setting.caller.any_proxy(&setting.host.export(&orders).unwrap());
    for (body, text) in [
        (&b"\x90"[..], "argument `order` of NewOrders/place is missing"),
        (b"\x92\xc3\xc0", "argument `order` of NewOrders/place cannot be decoded: "),
        (b"\x93\x91\x07\xc0\xa3two", "argument `copies` of NewOrders/place cannot be decoded: "),
        (b"\x92\x91\x07", "the arguments of NewOrders/place are not well-formed: "),
        (b"\xc0", "the arguments of NewOrders/place are not an array"),
        (b"", "the arguments of NewOrders/place are not "),
    ] {
        let call = Call::new(MethodId::of("NewOrders", "place"), Bytes::from_static(body));
        let error = far.invoke(call).await.map(drop).unwrap_err();
        assert_eq!((error.kind(), error.executed()), (ErrorKind::BadArguments, Executed::No), "{error}");
        assert!(error.message().starts_with(text), "{error}");
    }
}

#[tokio::test]
async fn a_blob_passes_through_a_servant_that_does_not_read_it() {
    let setting = setting().await;
    let (_, own) = own_probe();
    let blob = Bytes::from_static(&[0xc1, 0xff, 0x00]);
    assert_eq!(setting.probe.relay(own, blob.clone()).await.unwrap(), blob);
}
