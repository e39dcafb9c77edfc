//! What `#[remote]` says about mistakes, and that it says nothing when there is none.

#[test]
fn every_mistake_is_told_where_it_was_made() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/it/ui/fail/*.rs");
    cases.pass("tests/it/ui/pass/*.rs");
}
