// SPDX-License-Identifier: Apache-2.0

/// Which column each decode call wants. A type decodes its properties in the same order every time, so the n-th call of
/// the first row says what the n-th call of every row will be; a comparison of the key's name guards it.
package final class RowPlan {
    struct Step {
        /// The property's name as its coding key gives it: for literals, equal means the same pointer.
        let key: String
        /// -1 when the answer has no such column.
        let column: Int32
        /// Learned: the value has members and is stored as JSON text.
        var isNested = false
    }

    let type: ObjectIdentifier
    let shape: Int
    private let columns: [String: Int32]
    var steps: [Step] = []
    /// How many rows the statement gave last time: most likely as many as it gives next.
    private(set) var rows = 0
    /// By step: what nested columns of the rows before were. Lists are seldom read twice; theirs are forgotten.
    private var memos: [(type: ObjectIdentifier, memo: AnyObject)?] = []
    private static let memoRowsMax = 16

    init(of type: ObjectIdentifier, columns names: [String], shape: Int) {
        self.type = type
        self.shape = shape
        columns = Dictionary(
            names.enumerated().map { ($0.element, Int32($0.offset)) }, uniquingKeysWith: { first, _ in first })
    }

    /// The plan for decoding a type from a statement's rows, kept with the statement.
    static func of(_ type: any Any.Type, _ statement: any EngineStatement) -> RowPlan {
        let id = ObjectIdentifier(type)
        let shape = statement.shape
        if let plan = statement.plan, plan.type == id, plan.shape == shape { return plan }
        let plan = RowPlan(of: id, columns: statement.columns, shape: shape)
        statement.plan = plan
        return plan
    }

    /// The first time a key is met at a place, or when it is another than last time.
    func learn(_ key: String, at place: Int) {
        let step = Step(key: key, column: column(key))
        if place < steps.count { steps[place] = step } else { steps.append(step) }
    }

    /// Called after each answer with the number of its rows.
    func gave(_ count: Int) {
        rows = count
        if count > RowPlan.memoRowsMax { memos = [] }
    }

    func memo(at place: Int) -> (type: ObjectIdentifier, memo: AnyObject)? {
        place < memos.count ? memos[place] : nil
    }

    func keep(_ memo: AnyObject, of type: any Any.Type, at place: Int) {
        while memos.count <= place { memos.append(nil) }
        memos[place] = (ObjectIdentifier(type), memo)
    }

    func column(_ key: String) -> Int32 { columns[ColumnName.of(key)] ?? columns[key] ?? -1 }
}

/// What the row encoder learned about a type: its columns in order and the statements made of them.
package final class RecordPlan {
    let table: String
    /// Property names as the coding keys give them, and their columns.
    private(set) var keys: [String] = []
    private(set) var columns: [String] = []
    var nested: [Bool] = []
    private var insertText: String?
    private var replaceText: String?

    init(table: String) { self.table = table }

    func append(_ key: String) {
        keys.append(key)
        columns.append(ColumnName.of(key))
        nested.append(false)
        (insertText, replaceText) = (nil, nil)
    }

    func insert(_ dialect: Dialect) -> String {
        if let insertText { return insertText }
        let names = columns.map(dialect.quote).joined(separator: ", ")
        let marks = repeatElement("?", count: columns.count).joined(separator: ", ")
        let text = "INSERT INTO \(dialect.quote(table)) (\(names)) VALUES (\(marks))"
        insertText = text
        return text
    }

    /// An update of all columns, up to the condition.
    func replace(_ dialect: Dialect) -> String {
        if let replaceText { return replaceText }
        let assignments = columns.map { dialect.quote($0) + " = ?" }.joined(separator: ", ")
        let text = "UPDATE \(dialect.quote(table)) SET \(assignments) WHERE "
        replaceText = text
        return text
    }
}

/// The record plans of a connection, by type.
package final class PlanCache {
    private var plans: [ObjectIdentifier: RecordPlan] = [:]

    package init() {}

    func plan<R: Record>(_ type: R.Type) -> RecordPlan {
        if let plan = plans[ObjectIdentifier(type)] { return plan }
        let plan = RecordPlan(table: type.table)
        plans[ObjectIdentifier(type)] = plan
        return plan
    }

    /// A type that encoded other keys than last time starts anew.
    func forget<R: Record>(_ type: R.Type) { plans[ObjectIdentifier(type)] = nil }
}
