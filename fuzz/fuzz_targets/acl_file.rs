//! Any file: read or refused with lines that exist, all or nothing; what is read is written and read back the same.
#![no_main]

mod input;

use libfuzzer_sys::fuzz_target;
use respgate::acl::{Acl, FileError, Unknown};
use respgate::command::{CommandTable, UpstreamCommand};

fuzz_target!(|data: &[u8]| {
    let Some((control, text)) = data.split_first() else { return };
    let table = input::table(*control);
    let strict = Acl::parse(text, table);
    let keeping = keep(text, table);
    for errors in [&strict, &keeping].into_iter().filter_map(|read| read.as_ref().err()) {
        assert_lines_exist(errors, text);
    }
    if let Ok(acl) = &strict {
        let file = acl.to_file(table);
        assert_eq!(written(Acl::parse(&file, table), table), file.escape_ascii().to_string());
        assert_eq!(written(keeping.clone(), table), file.escape_ascii().to_string());
    }
    if let Ok(acl) = keeping {
        let file = acl.to_file(table);
        assert_eq!(written(keep(&file, table), table), file.escape_ascii().to_string());
        let extended = table.extended(&[UpstreamCommand { name: "json.get".into(), arity: -2, ..Default::default() }]);
        assert_eq!(written(Ok(acl.recompiled(&extended)), &extended), file.escape_ascii().to_string());
        assert!(acl.user(b"default").is_some());
        let is_known = acl.users().all(|user| user.unknown_rules().is_empty());
        assert!(strict.is_err() || is_known, "an unknown name is refused");
    }
});

/// With every rule that the table does not know.
fn keep(text: &[u8], table: &CommandTable) -> Result<Acl, Vec<FileError>> {
    Acl::read(text, table, Unknown::Keep).map(|read| read.acl)
}

/// At most one error a line, in order.
fn assert_lines_exist(errors: &[FileError], text: &[u8]) {
    let lines = text.split(|b| *b == b'\n').count();
    assert!(!errors.is_empty() && errors.iter().all(|error| (1..=lines).contains(&error.line)));
    assert!(errors.is_sorted_by(|one, next| one.line < next.line));
}

fn written(acl: Result<Acl, Vec<FileError>>, table: &CommandTable) -> String {
    acl.expect("a file that can be read").to_file(table).escape_ascii().to_string()
}
