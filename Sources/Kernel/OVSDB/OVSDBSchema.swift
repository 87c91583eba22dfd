// SPDX-License-Identifier: Apache-2.0
package import JSON

/// What a column may hold, as far as reading needs to know: how its default looks and whether changes come as
/// differences.
package struct OVSDBColumn: Sendable, Hashable {
    package let isMap: Bool
    /// More than one element is allowed; changes of such a column are sent as a difference ("update2",
    /// ovsdb-server(7)).
    package let isComposite: Bool
    package let defaultValue: OVSDBValue

    init?(_ json: JSON) {
        guard let type = json["type"] else { return nil }
        let key = type["key"] ?? type
        isMap = type["value"] != nil
        isComposite = type["max"].map { $0.string == "unlimited" || ($0.integer ?? 1) > 1 } ?? false
        if isMap {
            defaultValue = .emptyMap
        } else if type["min"]?.integer == 0 {
            defaultValue = .empty
        } else {
            switch key["type"]?.string ?? key.string {
            case "integer": defaultValue = 0
            case "real": defaultValue = .set([.real(0)])
            case "boolean": defaultValue = false
            case "uuid": defaultValue = .uuid("00000000-0000-0000-0000-000000000000")
            default: defaultValue = ""
            }
        }
    }
}

/// A database's tables and columns, as its server tells them.
package struct OVSDBSchema: Sendable {
    package let version: String
    package let tables: [String: [String: OVSDBColumn]]

    package init(_ json: JSON) {
        version = json["version"]?.string ?? ""
        var tables: [String: [String: OVSDBColumn]] = [:]
        for (name, table) in json["tables"]?.object ?? JSONObject() {
            var columns: [String: OVSDBColumn] = [:]
            for (column, description) in table["columns"]?.object ?? JSONObject() {
                columns[column] = OVSDBColumn(description)
            }
            tables[name] = columns
        }
        self.tables = tables
    }
}
