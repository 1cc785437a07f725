/// What differs between databases, by name. Schema texts mark such places with `{name}`.
package enum SQLDialect: Sendable {
    case sqlite
    case postgres

    /// A type for bytes.
    var blob: String {
        switch self {
        case .sqlite: "BLOB"
        case .postgres: "BYTEA"
        }
    }

    /// A type for ids, compared byte by byte whatever the database's locale: keyset pages depend on it.
    var key: String {
        switch self {
        case .sqlite: "TEXT"
        case .postgres: "TEXT COLLATE \"C\""
        }
    }

    /// Ends a table whose rows lie in the order of the primary key, where the database can do that.
    var clustered: String {
        switch self {
        case .sqlite: "WITHOUT ROWID"
        case .postgres: ""
        }
    }

    /// Statements of the database's own that answer `ok` or what is wrong with the file and the references.
    var integrityChecks: [(rule: String, sql: String)] {
        switch self {
        case .sqlite: [("the file is damaged", "PRAGMA integrity_check"), ("a reference leads nowhere", "PRAGMA foreign_key_check")]
        case .postgres: []
        }
    }

    /// The schema text with this database's words in its marked places.
    func render(_ schema: String) -> String {
        [("{blob}", blob), ("{key}", key), ("{clustered}", clustered)].reduce(schema) { $0.replacing($1.0, with: $1.1) }
    }
}
