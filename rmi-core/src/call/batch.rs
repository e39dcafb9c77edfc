//! Many values in one argument, written and read one by one.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::scope::References;
use crate::call::{Target, scope};
use crate::error::{ErrorKind, Executed, RemoteError};
use crate::limits;
use crate::wire::codec::{self, DecodeError, Form};

/// Values, encoded one behind the other, and the references they name by index.
///
/// A batch that came in stays encoded until its values are asked for: what it takes is what it took on the wire.
#[derive(Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    references: References,
    count: usize,
    /// Where the next value to be read begins; in a batch that is written, the last one.
    at: usize,
    /// The number of references before the last value, in a batch that is written.
    before: usize,
}

impl Batch {
    /// An empty batch with room for so many bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// Checks what came in before anything is decoded from it.
    pub(crate) fn received(bytes: &[u8], references: Vec<Target>) -> Result<Self, RemoteError> {
        let (mut count, mut rest) = (0, bytes);
        while !rest.is_empty() {
            let length = codec::check_next(rest).map_err(|error| malformed(count, &error))?;
            rest = rest.get(length..).unwrap_or_default();
            count += 1;
        }
        Ok(Self { bytes: bytes.to_vec(), references: references.into(), count, at: 0, before: 0 })
    }

    /// Encodes a value behind the others; one that fails leaves no trace.
    pub(crate) fn push<T: Serialize>(&mut self, value: &T) -> Result<(), RemoteError> {
        let (bytes, references) = (self.bytes.len(), self.references.len());
        let body = &mut self.bytes;
        if let Err(error) = scope::encoding(&mut self.references, || codec::encode(value, Form::ByName, body)) {
            self.bytes.truncate(bytes);
            self.references.truncate(references);
            let text = format!("an item cannot be encoded: {error}");
            return Err(RemoteError::new(ErrorKind::BadArgument, Executed::No, text));
        }
        (self.count, self.at, self.before) = (self.count + 1, bytes, references);
        Ok(())
    }

    /// Takes the last value off when it takes so many bytes and is not alone.
    pub(crate) fn split_large(&mut self, bytes: u64) -> Option<Self> {
        let large = self.bytes.len().saturating_sub(self.at) as u64 >= bytes && self.count > 1;
        large.then(|| {
            self.count -= 1;
            let bytes = self.bytes.split_off(self.at);
            // Nobody knows which of the earlier references it names without reading it. Those before it name none of its own.
            let references = self.references.clone();
            self.references.truncate(self.before);
            Self { bytes, references, count: 1, at: 0, before: 0 }
        })
    }

    /// Decodes the next value; `None` when all are read.
    #[inline]
    pub(crate) fn next<T: DeserializeOwned>(&mut self) -> Option<Result<T, RemoteError>> {
        self.count = self.count.checked_sub(1)?;
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let decoded = scope::decoding(&mut self.references, || codec::decode_next::<T>(rest));
        if self.count == 0 {
            // From here on the values alone hold them: the next batch may be long in coming.
            self.references = References::default();
        }
        Some(match decoded {
            Ok((value, length)) => {
                self.at += length;
                Ok(value)
            }
            Err(error) => Err(undecodable(&error)),
        })
    }

    /// How many values are left to be read.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// What the batch takes in memory: its bytes, and a fixed amount for each reference.
    #[inline]
    pub(crate) fn cost(&self) -> u64 {
        let references = (self.references.len() as u64).saturating_mul(limits::STREAM_REFERENCE_BYTES);
        (self.bytes.len() as u64).saturating_add(references)
    }

    pub(crate) fn into_parts(self) -> (Vec<u8>, Vec<Target>) {
        (self.bytes, self.references.into_list())
    }
}

#[cold]
fn malformed(at: usize, error: &DecodeError) -> RemoteError {
    let text = format!("item {at} of the batch is not well-formed: {error}");
    RemoteError::new(ErrorKind::BadArguments, Executed::No, text)
}

#[cold]
fn undecodable(error: &DecodeError) -> RemoteError {
    RemoteError::new(ErrorKind::BadReply, Executed::Yes, format!("an item cannot be decoded: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{Dispatch, Dispatched, Incoming};
    use crate::interface::Descriptor;
    use crate::proxy::AnyProxy;

    struct Nothing;

    impl Dispatch for Nothing {
        fn descriptor(&self) -> &'static Descriptor {
            const { &Descriptor::new("Nothing") }
        }

        fn dispatch(&self, call: Incoming) -> Dispatched {
            Dispatched::Unknown(call)
        }
    }

    /// Encodes its proxy, then fails.
    struct Half(AnyProxy);

    impl Serialize for Half {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.serialize(serializer)?;
            Err(serde::ser::Error::custom("as told"))
        }
    }

    fn object() -> AnyProxy {
        AnyProxy::from_dispatch(Nothing)
    }

    fn received(batch: Batch) -> Batch {
        let (bytes, references) = batch.into_parts();
        Batch::received(&bytes, references).unwrap()
    }

    #[test]
    fn values_are_read_in_the_order_they_were_written() {
        let (mut batch, proxy) = (Batch::default(), object());
        batch.push(&7_u64).unwrap();
        batch.push(&proxy).unwrap();
        batch.push(&"seven").unwrap();
        let mut batch = received(batch);
        assert_eq!((batch.count(), batch.cost()), (3, 10 + limits::STREAM_REFERENCE_BYTES));
        assert_eq!(batch.next::<u64>().unwrap().unwrap(), 7);
        assert_eq!(batch.next::<AnyProxy>().unwrap().unwrap(), proxy);
        assert_eq!(batch.next::<String>().unwrap().unwrap(), "seven");
        assert!(batch.next::<u64>().is_none());
    }

    #[test]
    fn a_value_that_fails_leaves_no_trace() {
        let mut batch = Batch::default();
        batch.push(&1_u8).unwrap();
        assert_eq!(batch.push(&Half(object())).unwrap_err().kind(), ErrorKind::BadArgument);
        let (bytes, references) = batch.into_parts();
        assert_eq!((bytes, references.len()), (vec![1], 0));
    }

    #[test]
    fn a_large_value_is_split_off_with_its_references() {
        let (mut batch, proxy) = (Batch::default(), object());
        batch.push(&proxy).unwrap();
        assert!(batch.split_large(1).is_none(), "it is alone");
        batch.push(&("long", &proxy)).unwrap();
        assert!(batch.split_large(100).is_none());
        let (mut large, mut rest) = (received(batch.split_large(6).unwrap()), received(batch));
        assert_eq!(rest.next::<AnyProxy>().unwrap().unwrap(), proxy);
        assert_eq!(large.next::<(String, AnyProxy)>().unwrap().unwrap(), ("long".to_owned(), proxy));
        assert_eq!((rest.count(), large.count()), (0, 0));
    }

    #[test]
    fn those_before_a_large_value_do_not_count_its_references() {
        let mut batch = Batch::default();
        batch.push(&object()).unwrap();
        let before = batch.cost();
        batch.push(&(0..5000).map(|_| object()).collect::<Vec<_>>()).unwrap();
        let large = batch.split_large(6).unwrap();
        assert_eq!(batch.cost(), before);
        assert_eq!(received(large).next::<Vec<AnyProxy>>().unwrap().unwrap().len(), 5000);
    }

    #[test]
    fn bytes_that_are_no_values_are_refused() {
        let error = Batch::received(&[1, 2, 0x92, 3], Vec::new()).map(drop).unwrap_err();
        assert!(error.message().starts_with("item 2 of the batch is not well-formed"), "{error}");
        assert_eq!(Batch::received(&[], Vec::new()).map(|batch| batch.count()), Ok(0));
    }
}
