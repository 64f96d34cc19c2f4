//! What a stranger's statement may not do: end the transaction that it shares with others, reach another file,
//! or change how the database is kept.

use rusqlite::hooks::{AuthAction, AuthContext, TransactionOperation};

use crate::watch::Trust;

/// PRAGMAs that only look, or look at what they are given.
const LOOKING: &[&str] = &[
    "application_id",
    "collation_list",
    "compile_options",
    "data_version",
    "encoding",
    "foreign_key_check",
    "foreign_key_list",
    "foreign_keys",
    "freelist_count",
    "function_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "module_list",
    "page_count",
    "page_size",
    "pragma_list",
    "quick_check",
    "schema_version",
    "table_info",
    "table_list",
    "table_xinfo",
    "user_version",
];

/// Of these, the ones that take a name or a number and look at that.
const ASKING: &[&str] = &[
    "foreign_key_check",
    "foreign_key_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "quick_check",
    "table_info",
    "table_list",
    "table_xinfo",
];

/// Numbers that SQLite keeps for the application and has no use for itself.
const OF_THE_APPLICATION: &[&str] = &["application_id", "user_version"];

/// Modules of virtual tables that keep all they have in the file itself.
const MODULES: &[&str] = &["fts5", "rtree", "rtree_i32"];

/// Why a statement may not do this; `None` if it may.
pub(crate) fn refuse(asked: &AuthContext<'_>, trust: Trust) -> Option<String> {
    if trust == Trust::Glance {
        return Some("a glance prepares nothing".to_owned());
    }
    let temporary = asked.database_name.is_some_and(|name| name.eq_ignore_ascii_case("temp"));
    match &asked.action {
        AuthAction::Transaction { operation } => {
            let word = match operation {
                TransactionOperation::Begin => "BEGIN",
                TransactionOperation::Rollback => "ROLLBACK",
                _ => "COMMIT",
            };
            Some(format!("`{word}` is no statement here: transactions have calls of their own"))
        }
        AuthAction::Savepoint { .. } if trust == Trust::Turn => None,
        AuthAction::Savepoint { .. } => {
            Some("savepoints need a transaction of their own: begin one, and set them in it".to_owned())
        }
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => {
            Some("another file cannot be attached: make it a service of its own".to_owned())
        }
        AuthAction::CreateTempTable { .. }
        | AuthAction::CreateTempIndex { .. }
        | AuthAction::CreateTempTrigger { .. }
        | AuthAction::CreateTempView { .. } => Some(TEMPORARY.to_owned()),
        // What stands there hides the real table of its name on one connection, from all clients.
        AuthAction::CreateVtable { .. } | AuthAction::DropVtable { .. } if temporary => {
            Some(TEMPORARY.to_owned())
        }
        AuthAction::CreateVtable { module_name, .. }
            if !MODULES.iter().any(|known| known.eq_ignore_ascii_case(module_name)) =>
        {
            Some(format!("the module `{module_name}` is not available: there are {}", MODULES.join(", ")))
        }
        // It reads the whole file in one step, which nothing can end.
        AuthAction::Read { table_name, .. } if table_name.eq_ignore_ascii_case("dbstat") => {
            Some("the table `dbstat` is not available".to_owned())
        }
        AuthAction::Pragma { pragma_name, pragma_value } => pragma(pragma_name, pragma_value.is_some()),
        AuthAction::Function { function_name } if function_name.eq_ignore_ascii_case("load_extension") => {
            Some("extensions are not loaded".to_owned())
        }
        _ => None,
    }
}

const TEMPORARY: &str = "temporary tables would be shared by all clients: make an ordinary one";

fn pragma(name: &str, has_value: bool) -> Option<String> {
    let name = name.to_ascii_lowercase();
    let is_of = |list: &[&str]| list.contains(&name.as_str());
    if !is_of(LOOKING) {
        return Some(format!("`PRAGMA {name}` is not available: how the database is kept is settled"));
    }
    if has_value && !is_of(ASKING) && !is_of(OF_THE_APPLICATION) {
        return Some(format!("`PRAGMA {name}` can be read and not set: how the database is kept is settled"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pragmas_are_looked_at_and_not_set() {
        for (name, has_value, allowed) in [
            ("table_info", true, true),
            ("TABLE_INFO", true, true),
            ("user_version", true, true),
            ("user_version", false, true),
            ("foreign_keys", false, true),
            ("foreign_keys", true, false),
            ("journal_mode", false, false),
            ("synchronous", true, false),
            ("defer_foreign_keys", true, false),
            ("writable_schema", true, false),
            ("query_only", true, false),
            ("database_list", false, false),
        ] {
            assert_eq!(pragma(name, has_value).is_none(), allowed, "{name} {has_value}");
        }
    }
}
