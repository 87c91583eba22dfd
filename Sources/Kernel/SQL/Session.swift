// SPDX-License-Identifier: Apache-2.0
internal import Base

/// The verbs on one connection, shared by reads on any thread and by transactions on the writer's.
struct Session {
    let connection: any EngineConnection

    init(_ connection: any EngineConnection) { self.connection = connection }

    func all<R: Record>(_ type: R.Type, _ condition: SQL, max: Int = .max) throws(Fault) -> [R] {
        let statement = try prepare(select("*", R.table, condition), condition.values)
        defer { statement.reset() }
        do {
            var records: [R] = []
            guard try statement.step() else { return records }
            // Only now: the first step may prepare the statement again, with other columns.
            let plan = RowPlan.of(type, statement)
            let decoder = RowDecoder(statement, plan)
            records.reserveCapacity(Swift.min(plan.rows, max))
            repeat { records.append(try decoder.row(type)) } while try records.count < max && statement.step()
            plan.gave(records.count)
            return records
        } catch { throw fault(error, R.table) }
    }

    func first<R: Record>(_ type: R.Type, _ condition: SQL) throws(Fault) -> R? {
        try all(type, condition, max: 1).first
    }

    func count<R: Record>(_ type: R.Type, _ condition: SQL) throws(Fault) -> Int {
        let statement = try prepare(select("COUNT(*)", R.table, condition), condition.values)
        defer { statement.reset() }
        do { return try statement.step() ? Int(statement.integer(0)) : 0 } catch { throw error.fault }
    }

    func rows(_ query: SQL) throws(Fault) -> [Row] {
        let statement = try prepare(query.text, query.values)
        defer { statement.reset() }
        do {
            var rows: [Row] = []
            var columns: [String] = []
            while try statement.step() {
                if rows.isEmpty { columns = statement.columns }
                rows.append(Row(columns: columns, values: columns.indices.map { statement.value(Int32($0)) }))
            }
            return rows
        } catch { throw error.fault }
    }

    // MARK: Writing

    /// Runs a statement and gives how many rows it changed; a taken key is the given fault.
    func change(_ text: String, _ values: [SQLValue], or conflict: Fault? = nil) throws(Fault) -> Int {
        let statement = try prepare(text, values)
        defer { statement.reset() }
        do {
            while try statement.step() {}
            return statement.changes
        } catch {
            if error.kind == .conflict, let conflict { throw conflict }
            throw error.fault
        }
    }

    func insert<R: Record>(_ record: R, or conflict: Fault?) throws(Fault) {
        let (plan, values) = try encode(record)
        _ = try change(plan.insert(connection.dialect), values, or: conflict)
    }

    /// Writes all columns of the rows that match.
    func replace<R: Record>(_ record: R, _ condition: SQL) throws(Fault) -> Int {
        let (plan, values) = try encode(record)
        return try change(plan.replace(connection.dialect) + condition.text, values + condition.values)
    }

    func update(_ table: String, set: SQL, where condition: SQL) throws(Fault) -> Int {
        let text = "UPDATE " + quote(table) + " SET " + set.text + following(condition)
        return try change(text, set.values + condition.values)
    }

    func delete(_ table: String, _ condition: SQL) throws(Fault) -> Int {
        try change("DELETE FROM " + quote(table) + following(condition), condition.values)
    }

    // MARK: Parts

    private func prepare(_ text: String, _ values: [SQLValue]) throws(Fault) -> any EngineStatement {
        let valuesMax = connection.dialect.valuesMax
        guard values.count <= valuesMax else {
            throw .internalError(
                "A query binds \(values.count) values, at most \(valuesMax) can be. "
                    + "Long lists go through all(_:_:in:), which asks in portions: \(text.prefix(200))")
        }
        do {
            let statement = try connection.statement(text)
            try statement.bind(values)
            return statement
        } catch { throw error.fault }
    }

    private func encode<R: Record>(_ record: R) throws(Fault) -> (RecordPlan, [SQLValue]) {
        do {
            var plan = connection.plans.plan(R.self)
            var encoder = RowEncoder(plan)
            try record.encode(to: encoder)
            if encoder.isAstray || encoder.values.count != plan.keys.count {
                connection.plans.forget(R.self)
                plan = connection.plans.plan(R.self)
                encoder = RowEncoder(plan)
                try record.encode(to: encoder)
            }
            return (plan, encoder.values)
        } catch {
            connection.plans.forget(R.self)
            throw fault(error, R.table)
        }
    }

    private func select(_ what: String, _ table: String, _ condition: SQL) -> String {
        "SELECT " + what + " FROM " + quote(table) + following(condition)
    }

    private func quote(_ table: String) -> String { connection.dialect.quote(table) }

    /// What follows the table: nothing, a bare order or limit, or a condition.
    private func following(_ condition: SQL) -> String {
        let text = condition.text
        guard let start = text.utf8.firstIndex(where: { $0 > 32 }) else { return "" }
        for word in ["ORDER BY ", "LIMIT "] where text.utf8[start...].starts(with: word.utf8) { return " " + text }
        return " WHERE " + text
    }

    private func fault(_ error: any Error, _ table: String) -> Fault {
        switch error {
        case let error as EngineError: error.fault
        case let error as Fault: error
        default: .internalError("Table \(table): \(error)")
        }
    }
}

extension Session {
    /// A long list in portions, each value asked for once; the answers of the portions follow one another.
    func all<R: Record>(_ type: R.Type, _ column: String, in list: [SQLValue], and condition: SQL) throws(Fault) -> [R]
    {
        var seen: Set<SQLValue> = []
        let values = list.filter { seen.insert($0).inserted }
        let portion = Swift.max(1, connection.dialect.valuesMax - condition.values.count)
        var records: [R] = []
        for start in stride(from: 0, to: values.count, by: portion) {
            var query = SQL.StringInterpolation(literalCapacity: 0, interpolationCount: 0)
            query.appendLiteral(connection.dialect.quote(column) + " IN ")
            query.appendList(Array(values[start..<Swift.min(start + portion, values.count)]))
            if !condition.isEmpty { query.appendInterpolation(sql: " AND (" + condition + ")") }
            records += try all(type, query.sql)
        }
        return records
    }
}
