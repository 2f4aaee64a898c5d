//! The layout of the embedded database, and the way from each older layout to the present one.

use rusqlite::{Connection, Transaction, TransactionBehavior};
use thiserror::Error;

/// Marks the file as ours (`PRAGMA application_id`): the letters `wuwi`.
const APPLICATION_ID: i64 = 0x7775_7769;

/// One step of the layout. The first starts from an empty file; each later one from its predecessor.
pub(crate) struct Migration {
    /// What it brings, for the log.
    pub(crate) description: &'static str,
    /// Statements, run in one transaction with the change of the version number.
    pub(crate) statements: &'static str,
}

/// Every layout so far. Append only: version `n` is what the first `n` steps make.
///
/// A change of the records inside the values that an older binary would lose or misread is a step too, if only an
/// empty one: the number is what keeps that binary away.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration {
        description: "keys and values with revisions",
        statements: "
        CREATE TABLE entry (
            key TEXT NOT NULL PRIMARY KEY,
            revision INTEGER NOT NULL,
            value BLOB NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE revision_counter (
            only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
            last INTEGER NOT NULL
        ) STRICT;
        INSERT INTO revision_counter (only_row, last) VALUES (1, 0);",
    },
    Migration { description: "functions' records may say how their logs are written", statements: "" },
    // Records of functions have members that an older binary would lose.
    Migration { description: "function URLs and resource policies", statements: "" },
    Migration { description: "aliases, tags, concurrency and other settings of functions", statements: "" },
    Migration { description: "layers, code signing, and settings that name things outside Lambda", statements: "" },
    // An older binary would not ask the policies.
    Migration { description: "accounts, roles, policies and log groups", statements: "" },
    // An older binary would not show them, and leave them behind.
    Migration { description: "event source mappings, functions with tenants", statements: "" },
];

/// Why the database cannot be brought to the present layout.
#[derive(Debug, Error)]
pub enum SchemaError {
    /// Written by a later release. The file is untouched.
    #[error(
        "database has schema version {found}, this wuwei knows up to {supported}: \
         start the wuwei that wrote it, or a newer one, or give another data directory"
    )]
    Newer {
        /// Version of the file.
        found: u32,
        /// Greatest version that this release reads.
        supported: u32,
    },
    /// An SQLite database of another program.
    #[error("database was not made by wuwei")]
    Foreign,
    /// SQLite refused.
    #[error("bring the database to schema version {version}")]
    Failed {
        /// The version that was being made.
        version: u32,
        /// SQLite's error.
        #[source]
        source: rusqlite::Error,
    },
}

/// Version of the file, 0 for an empty one. Reads only.
pub(crate) fn version_of(connection: &Connection, migrations: &[Migration]) -> Result<u32, SchemaError> {
    let failed = |source| SchemaError::Failed { version: 0, source };
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
    let application_id: i64 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(failed)?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    if tables > 0 && application_id != APPLICATION_ID {
        return Err(SchemaError::Foreign);
    }
    let supported = u32::try_from(migrations.len()).expect("migrations are few");
    if found > supported {
        return Err(SchemaError::Newer { found, supported });
    }
    Ok(found)
}

/// Brings the file to the last of `migrations`, one transaction a step; a crash leaves it between two steps.
pub(crate) fn upgrade(connection: &mut Connection, migrations: &[Migration]) -> Result<(), SchemaError> {
    let found = version_of(connection, migrations)?;
    if found == 0 {
        tracing::info!(version = migrations.len(), "create the database");
    }
    for (version, migration) in (1_u32..).zip(migrations) {
        if version <= found {
            continue;
        }
        if found > 0 {
            tracing::info!(version, description = migration.description, "upgrade the database");
        }
        let failed = |source| SchemaError::Failed { version, source };
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        apply(&transaction, version, migration).map_err(failed)?;
        transaction.commit().map_err(failed)?;
    }
    Ok(())
}

fn apply(transaction: &Transaction<'_>, version: u32, migration: &Migration) -> rusqlite::Result<()> {
    transaction.execute_batch(migration.statements)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", version)
}

#[cfg(test)]
mod tests {
    use super::{MIGRATIONS, Migration, SchemaError, upgrade, version_of};
    use rusqlite::Connection;

    const LATER: &[Migration] = &[
        Migration { description: "first", statements: "CREATE TABLE note (text TEXT NOT NULL) STRICT;" },
        Migration {
            description: "second",
            statements: "ALTER TABLE note ADD COLUMN size INTEGER NOT NULL DEFAULT 0;
                         UPDATE note SET size = length(text);",
        },
        Migration { description: "third", statements: "CREATE INDEX note_size ON note (size);" },
    ];

    #[test]
    fn an_older_database_is_upgraded_step_by_step_and_keeps_its_data() {
        let mut connection = Connection::open_in_memory().unwrap();
        upgrade(&mut connection, &LATER[..1]).unwrap();
        connection.execute("INSERT INTO note (text) VALUES ('four')", []).unwrap();
        upgrade(&mut connection, LATER).unwrap();
        assert_eq!(version_of(&connection, LATER).unwrap(), 3);
        let size: i64 = connection.query_row("SELECT size FROM note", [], |row| row.get(0)).unwrap();
        assert_eq!(size, 4);
        upgrade(&mut connection, LATER).unwrap();
    }

    #[test]
    fn a_step_that_fails_leaves_the_database_at_the_step_before() {
        const BROKEN: &[Migration] = &[
            Migration { description: "first", statements: "CREATE TABLE note (text TEXT NOT NULL) STRICT;" },
            Migration {
                description: "second",
                statements: "CREATE TABLE other (id INTEGER); SELECT nonsense FROM nowhere;",
            },
        ];
        let mut connection = Connection::open_in_memory().unwrap();
        let error = upgrade(&mut connection, BROKEN).unwrap_err();
        assert!(matches!(error, SchemaError::Failed { version: 2, .. }));
        assert_eq!(version_of(&connection, BROKEN).unwrap(), 1);
        let tables: i64 = connection
            .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'other'", [], |row| row.get(0))
            .unwrap();
        assert_eq!(tables, 0);
    }

    #[test]
    fn a_newer_database_is_refused_with_both_versions_and_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        upgrade(&mut connection, LATER).unwrap();
        let error = upgrade(&mut connection, &LATER[..2]).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, SchemaError::Newer { found: 3, supported: 2 }));
        assert!(text.contains('3') && text.contains('2'), "{text}");
        assert_eq!(version_of(&connection, LATER).unwrap(), 3);
    }

    #[test]
    fn a_database_of_another_program_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE theirs (id INTEGER)").unwrap();
        assert!(matches!(upgrade(&mut connection, MIGRATIONS), Err(SchemaError::Foreign)));
    }
}
