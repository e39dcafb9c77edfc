//! How the types of arguments and results travel.

use syn::{GenericArgument, Ident, PathArguments, ReturnType, Type};

/// An argument of a remote method.
pub(crate) struct Argument {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    pub(crate) shape: Shape,
    /// Whether an older caller may leave it out.
    pub(crate) optional: bool,
}

/// How an argument is encoded, decoded and given to the servant.
pub(crate) enum Shape {
    /// `T`
    Owned,
    /// `&T`: decoded as this type, lent to the servant.
    Borrowed(Type),
    /// `Option<&T>`: decoded as an option of this type.
    OptionBorrowed(Type),
    /// `&[u8]`
    Slice,
    /// `Vec<u8>`
    Vector,
    /// `Bytes`
    Bytes,
    /// `Option<&[u8]>`
    OptionSlice,
    /// `Option<Vec<u8>>`
    OptionVector,
    /// `Option<Bytes>`
    OptionBytes,
}

/// Whether a result needs a wrapper to travel as a byte string.
#[derive(PartialEq)]
pub(crate) enum Returns {
    Value,
    Blob,
}

impl Argument {
    pub(crate) fn new(ident: Ident, ty: Type, defaulted: bool) -> Self {
        let optional = defaulted || option_of(&ty).is_some();
        let shape = Shape::of(&ty);
        Self { ident, ty, shape, optional }
    }
}

impl Shape {
    fn of(ty: &Type) -> Self {
        if let Type::Reference(reference) = ty {
            return if is_byte_slice(&reference.elem) { Self::Slice } else { Self::Borrowed(owned(&reference.elem)) };
        }
        if is_byte_vector(ty) {
            return Self::Vector;
        }
        if is_bytes(ty) {
            return Self::Bytes;
        }
        match option_of(ty) {
            Some(Type::Reference(reference)) if is_byte_slice(&reference.elem) => Self::OptionSlice,
            Some(Type::Reference(reference)) => Self::OptionBorrowed(owned(&reference.elem)),
            Some(inner) if is_byte_vector(inner) => Self::OptionVector,
            Some(inner) if is_bytes(inner) => Self::OptionBytes,
            _ => Self::Owned,
        }
    }
}

impl Returns {
    pub(crate) fn of(output: &ReturnType) -> Self {
        let ReturnType::Type(_, ty) = output else { return Self::Value };
        let value = ok_type(ty);
        let blob = |ty: &Type| is_byte_vector(ty) || option_of(ty).is_some_and(is_byte_vector);
        if value.is_some_and(blob) { Self::Blob } else { Self::Value }
    }
}

/// The type that a borrowed one is decoded into.
fn owned(borrowed: &Type) -> Type {
    match borrowed {
        Type::Slice(slice) => {
            let element = &slice.elem;
            syn::parse_quote!(::std::vec::Vec<#element>)
        }
        Type::Path(path) if path.path.is_ident("str") => syn::parse_quote!(::std::string::String),
        other => other.clone(),
    }
}

/// The first type argument of the last segment, when that is called `name`.
fn argument_of<'t>(ty: &'t Type, name: Option<&str>) -> Option<&'t Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    if name.is_some_and(|name| last.ident != name) {
        return None;
    }
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

pub(crate) fn option_of(ty: &Type) -> Option<&Type> {
    argument_of(ty, Some("Option"))
}

/// The `T` of `Result<T, E>` or of an alias with the value as its first argument.
pub(crate) fn ok_type(ty: &Type) -> Option<&Type> {
    argument_of(ty, None)
}

/// Whether this is a result whose value is one `Proxy`, and nothing around it.
pub(crate) fn promises_object(output: &Type) -> bool {
    ok_type(output).is_some_and(|value| argument_of(value, Some("Proxy")).is_some())
}

pub(crate) fn is_unit(ty: &Type) -> bool {
    matches!(ty, Type::Tuple(tuple) if tuple.elems.is_empty())
}

fn is_byte(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.is_ident("u8"))
}

fn is_byte_slice(ty: &Type) -> bool {
    matches!(ty, Type::Slice(slice) if is_byte(&slice.elem))
}

fn is_byte_vector(ty: &Type) -> bool {
    argument_of(ty, Some("Vec")).is_some_and(is_byte)
}

fn is_bytes(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Bytes" && last.arguments.is_empty()))
}
