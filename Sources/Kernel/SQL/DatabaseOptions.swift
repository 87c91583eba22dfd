// SPDX-License-Identifier: Apache-2.0
package import Config

/// `[database] connection`, in the form of URL that upstream has for it.
package struct DatabaseOptions: Options {
    package static let section = "database"

    /// The SQLite file; nil means the one in the cloud's folder.
    package let path: String?

    package init(_ read: inout OptionReader) {
        let url = read.string(
            "connection",
            help: "sqlite:///PATH (four slashes before an absolute path). Unset means apus.db in the cloud's folder.")
        guard let url else {
            path = nil
            return
        }
        path = DatabaseOptions.path(url)
        if path == nil { read.refuse(DatabaseOptions.refusal(url)) }
    }

    /// SQLAlchemy's rule: what follows the third slash is the path, so an absolute one makes it four.
    private static func path(_ url: String) -> String? {
        guard url.hasPrefix("sqlite:///"), url.utf8.count > 10 else { return nil }
        return String(url.dropFirst(10))
    }

    private static func refusal(_ url: String) -> String {
        let scheme = url.prefix { $0 != ":" && $0 != "+" }
        if ["mysql", "mariadb", "postgresql", "postgres"].contains(String(scheme)) {
            return
                "connection names \(scheme), which is not supported yet: MariaDB (mysql) and PostgreSQL come later. "
                + "Until then: sqlite:////var/lib/apus/apus.db, or leave it unset."
        }
        return "connection is written sqlite:///PATH; MariaDB (mysql) and PostgreSQL come later."
    }
}
