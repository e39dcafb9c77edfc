//! The `#[remote]` attribute.
use proc_macro::TokenStream;
/// Makes a trait a remote interface.
#[proc_macro_attribute]
pub fn remote(_arguments: TokenStream, item: TokenStream) -> TokenStream {
    item
}
