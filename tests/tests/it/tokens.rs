//! What a source file says, token by token, without what only tests use.
//!
//! Tokens rather than a syntax tree, because they go on inside macros.

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};

/// What was found in a file.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Every path that begins at the root of the crate, through `crate` or `super`, by its first name.
    pub(crate) imports: Vec<Import>,
    pub(crate) words: Vec<Word>,
    /// The lines with an expression in brackets behind another one.
    pub(crate) indexed: Vec<usize>,
}

#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) line: usize,
    pub(crate) name: String,
}

#[derive(Debug)]
pub(crate) struct Word {
    pub(crate) line: usize,
    pub(crate) name: String,
    pub(crate) role: Role,
}

/// How a word stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// `.word`
    Method,
    /// `word!`
    Macro,
    /// The two last names of `Type::word`, as `Type::word`.
    Associated,
    Other,
}

/// Reads a file whose place among the modules is `module`.
pub(crate) fn scan(source: &str, module: &[String]) -> Scan {
    let mut scan = Scan::default();
    walk(&parse(source), module.len(), module, &mut scan);
    scan
}

fn parse(source: &str) -> Vec<TokenTree> {
    list(source.parse().unwrap_or_else(|error| panic!("not Rust: {error}")))
}

fn list(stream: TokenStream) -> Vec<TokenTree> {
    stream.into_iter().collect()
}

/// Walks over `trees`, which stand `depth` modules deep in the crate.
fn walk(trees: &[TokenTree], depth: usize, module: &[String], scan: &mut Scan) {
    let mut at = 0;
    while let Some(tree) = trees.get(at) {
        let before = &trees[..at];
        if is_cfg_test(&trees[at..]) {
            at += item_length(&trees[at..]);
            continue;
        }
        match tree {
            TokenTree::Ident(word) => {
                see_word(word, before, &trees[at + 1..], scan);
                see_path(word, before, &trees[at + 1..], (depth, module), scan);
            }
            TokenTree::Group(group) => {
                if group.delimiter() == Delimiter::Bracket && indexes(before) {
                    scan.indexed.push(group.span_open().start().line);
                }
                let inner = depth + usize::from(opens_module(before));
                walk(&list(group.stream()), inner, module, scan);
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
        at += 1;
    }
}

fn see_word(word: &Ident, before: &[TokenTree], after: &[TokenTree], scan: &mut Scan) {
    let line = word.span().start().line;
    let mut name = word.to_string();
    let role = if punct(before.last()) == Some('.') {
        Role::Method
    } else if punct(after.first()) == Some('!') && punct(after.get(1)) != Some('=') {
        Role::Macro
    } else if let [.., TokenTree::Ident(owner), TokenTree::Punct(_), TokenTree::Punct(colon)] = before
        && colon.as_char() == ':'
    {
        scan.words.push(Word { line, name: name.clone(), role: Role::Other });
        name = format!("{owner}::{word}");
        Role::Associated
    } else {
        Role::Other
    };
    scan.words.push(Word { line, name, role });
}

/// Notes the paths that begin with `word`, if it leads to the root of the crate.
fn see_path(word: &Ident, before: &[TokenTree], after: &[TokenTree], place: (usize, &[String]), scan: &mut Scan) {
    // The `super` of `super::super` was counted with the first one, and `a::crate` is no path.
    if punct(before.last()) == Some(':') && !is_type_or_pattern_colon(before) {
        return;
    }
    let (depth, module) = place;
    let mut rest = after;
    let mut height = match word.to_string().as_str() {
        "crate" => 0,
        "super" => depth.saturating_sub(1),
        _ => return,
    };
    while let [TokenTree::Punct(_), TokenTree::Punct(_), TokenTree::Ident(next), tail @ ..] = rest
        && next == "super"
    {
        (height, rest) = (height.saturating_sub(1), tail);
    }
    let [TokenTree::Punct(first), TokenTree::Punct(_), target, ..] = rest else { return };
    if first.as_char() != ':' {
        return;
    }
    let line = word.span().start().line;
    match (height, module.first()) {
        (0, _) => scan.imports.extend(heads(target).into_iter().map(|name| Import { line, name })),
        (_, Some(own)) => scan.imports.push(Import { line, name: own.clone() }),
        (_, None) => {}
    }
}

/// Whether the colon at the end stands alone, as in `x: crate::A`, and is no half of `::`.
fn is_type_or_pattern_colon(before: &[TokenTree]) -> bool {
    !matches!(before, [.., TokenTree::Punct(first), TokenTree::Punct(_)]
        if first.as_char() == ':' && first.spacing() == proc_macro2::Spacing::Joint)
}

/// The first names of a path or of a group of paths.
fn heads(target: &TokenTree) -> Vec<String> {
    match target {
        TokenTree::Ident(name) => vec![name.to_string()],
        TokenTree::Group(group) => {
            let inner = list(group.stream());
            let parts = inner.split(|tree| punct(Some(tree)) == Some(','));
            parts.filter_map(|part| part.first()).flat_map(heads).collect()
        }
        // Everything: `crate::*` is nobody's to import.
        TokenTree::Punct(star) => vec![star.to_string()],
        TokenTree::Literal(_) => Vec::new(),
    }
}

/// Whether a bracket behind these tokens takes an element out of something.
fn indexes(before: &[TokenTree]) -> bool {
    const KEYWORDS: &[&str] =
        &["as", "break", "const", "dyn", "else", "for", "if", "impl", "in", "let", "match", "mut", "ref", "return"];
    match before {
        // A lifetime: `&'a [u8]`.
        [.., TokenTree::Punct(quote), TokenTree::Ident(_)] if quote.as_char() == '\'' => false,
        // A field: `pub(crate) [u8; 4]`.
        [.., TokenTree::Ident(word), TokenTree::Group(_)] if word == "pub" => false,
        // What follows an attribute: `#[x] [u8; 4]`.
        [.., TokenTree::Punct(hash), TokenTree::Group(_)] if hash.as_char() == '#' => false,
        [.., TokenTree::Ident(word)] => !KEYWORDS.contains(&word.to_string().as_str()),
        [.., TokenTree::Group(group)] => group.delimiter() != Delimiter::Brace,
        [.., TokenTree::Punct(mark)] => mark.as_char() == '?',
        _ => false,
    }
}

fn opens_module(before: &[TokenTree]) -> bool {
    matches!(before, [.., TokenTree::Ident(keyword), TokenTree::Ident(_)] if keyword == "mod")
}

/// Whether `#[cfg(test)]` stands here.
fn is_cfg_test(trees: &[TokenTree]) -> bool {
    match trees {
        [TokenTree::Punct(hash), TokenTree::Group(group), ..] if hash.as_char() == '#' => {
            group.stream().to_string().replace(' ', "") == "cfg(test)"
        }
        _ => false,
    }
}

/// How many tokens the item takes that begins here with its attributes.
fn item_length(trees: &[TokenTree]) -> usize {
    let ends = |tree: &TokenTree| match tree {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        other => punct(Some(other)) == Some(';'),
    };
    trees.iter().position(ends).map_or(trees.len(), |at| at + 1)
}

fn punct(tree: Option<&TokenTree>) -> Option<char> {
    match tree {
        Some(TokenTree::Punct(punct)) => Some(punct.as_char()),
        _ => None,
    }
}

/// The names that the root of a crate takes from its modules: `pub use node::{Node, NodeBuilder as Builder}`.
pub(crate) fn reexports(source: &str) -> Vec<(String, String)> {
    let trees = parse(source);
    let uses = trees.split(|tree| punct(Some(tree)) == Some(';'));
    let mut names = Vec::new();
    for item in uses {
        let Some(start) = item.iter().position(|tree| matches!(tree, TokenTree::Ident(word) if word == "use")) else {
            continue;
        };
        let Some(TokenTree::Ident(module)) = item.get(start + 1) else { continue };
        let mut leaves = Vec::new();
        collect_idents(&item[start + 2..], &mut leaves);
        names.extend(leaves.into_iter().map(|leaf| (leaf, module.to_string())));
    }
    names
}

fn collect_idents(trees: &[TokenTree], names: &mut Vec<String>) {
    for tree in trees {
        match tree {
            TokenTree::Ident(name) => names.push(name.to_string()),
            TokenTree::Group(group) => collect_idents(&list(group.stream()), names),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}
