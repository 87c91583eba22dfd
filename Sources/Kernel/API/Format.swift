// SPDX-License-Identifier: Apache-2.0
package import Base
package import JSON

/// Why a value is not in its format, worded as JSON schema validators word it.
package struct Misfit: Error, Sendable {
    package let reason: String
    package init(_ reason: String) { self.reason = reason }
}

/// The format a member must have, and how it becomes a Swift value.
package struct Format<Value>: Sendable {
    package let read: @Sendable (_ value: JSON, _ lenient: Bool) throws(Misfit) -> Value

    package init(_ read: @escaping @Sendable (_ value: JSON, _ lenient: Bool) throws(Misfit) -> Value) {
        self.read = read
    }

    /// The same format, narrowed or turned into another value.
    package func map<Other>(_ change: @escaping @Sendable (Value) throws(Misfit) -> Other) -> Format<Other> {
        let read = read
        return Format<Other> { value, lenient throws(Misfit) in try change(try read(value, lenient)) }
    }
}

extension Format where Value == String {
    /// Text of so many characters.
    package static func text(_ length: ClosedRange<Int>) -> Format {
        Format { value, _ throws(Misfit) in
            guard case .string(let text) = value else { throw Misfit("\(value.text()) is not of type 'string'") }
            let count = text.unicodeScalars.count
            if count < length.lowerBound {
                throw Misfit(count == 0 ? "'' should be non-empty" : "'\(text)' is too short")
            }
            if count > length.upperBound { throw Misfit("'\(text)' is too long") }
            return text
        }
    }

    /// Text of any length up to 64 KiB.
    package static var text: Format { text(0...65_535) }

    /// A name as Nova takes it: 1 to 255 characters, printable, not only blanks, no blank at either end.
    package static var name: Format {
        text(1...255).map { text throws(Misfit) in
            guard text.first?.isWhitespace == false, text.last?.isWhitespace == false else {
                throw Misfit("'\(text)' can not start or end with whitespace.")
            }
            guard !text.unicodeScalars.contains(where: { $0.value < 32 || $0.value == 127 }) else {
                throw Misfit("'\(text)' holds characters that cannot be printed.")
            }
            return text
        }
    }

    /// A UUID, returned as it was written.
    package static var uuid: Format {
        text(1...255).map { text throws(Misfit) in
            guard Hex.isUUID(text) else { throw Misfit("'\(text)' is not a 'uuid'") }
            return text
        }
    }

    /// One of a few words.
    package static func oneOf(_ words: String...) -> Format {
        Format { value, _ throws(Misfit) in
            guard let text = value.string, words.contains(text) else {
                throw Misfit("\(value.text()) is not one of [\(words.map { "'\($0)'" }.joined(separator: ", "))]")
            }
            return text
        }
    }
}

extension Format where Value == Int {
    /// A whole number in a range; as text too where the service is lenient.
    package static func integer(_ range: ClosedRange<Int> = Int.min...Int.max) -> Format {
        Format { value, lenient throws(Misfit) in
            let number: Int
            switch value {
            case .integer(let whole): number = Int(whole)
            case .string(let text) where lenient && !text.isEmpty:
                guard let whole = Int(text) else { throw Misfit("'\(text)' is not of type 'integer'") }
                number = whole
            default: throw Misfit("\(value.text()) is not of type 'integer'")
            }
            if number < range.lowerBound { throw Misfit("\(number) is less than the minimum of \(range.lowerBound)") }
            if number > range.upperBound {
                throw Misfit("\(number) is greater than the maximum of \(range.upperBound)")
            }
            return number
        }
    }
}

extension Format where Value == Double {
    package static func number(_ range: ClosedRange<Double>) -> Format {
        Format { value, lenient throws(Misfit) in
            let number: Double
            switch value {
            case .integer(let whole): number = Double(whole)
            case .double(let real): number = real
            case .string(let text) where lenient:
                guard let real = Double(text) else { throw Misfit("'\(text)' is not of type 'number'") }
                number = real
            default: throw Misfit("\(value.text()) is not of type 'number'")
            }
            guard range.contains(number) else {
                throw Misfit("\(number) is not between \(range.lowerBound) and \(range.upperBound)")
            }
            return number
        }
    }
}

extension Format where Value == Bool {
    /// Yes or no; in oslo's spellings as text where the service is lenient.
    package static var bool: Format {
        Format { value, lenient throws(Misfit) in
            switch value {
            case .bool(let truth): return truth
            case .string(let text) where lenient:
                if let truth = truth(text) { return truth }
            case .integer(let number) where lenient && (number == 0 || number == 1): return number == 1
            default: break
            }
            throw Misfit("\(value.text()) is not of type 'boolean'")
        }
    }

    /// oslo.utils' strict spellings.
    package static func truth(_ text: String) -> Bool? {
        switch text.lowercased() {
        case "1", "t", "true", "on", "y", "yes": true
        case "0", "f", "false", "off", "n", "no": false
        default: nil
        }
    }
}

extension Format where Value == JSON {
    /// Whatever it is.
    package static var any: Format { Format { value, _ throws(Misfit) in value } }
}

extension Format where Value == JSONObject {
    package static var object: Format {
        Format { value, _ throws(Misfit) in
            guard case .object(let object) = value else { throw Misfit("\(value.text()) is not of type 'object'") }
            return object
        }
    }
}

extension Format {
    /// One of an enumeration's raw values.
    package static func choice(_ type: Value.Type) -> Format
    where Value: RawRepresentable & CaseIterable & Sendable, Value.RawValue == String {
        Format { value, _ throws(Misfit) in
            guard let text = value.string, let choice = Value(rawValue: text) else {
                let words = Value.allCases.map { "'\($0.rawValue)'" }.joined(separator: ", ")
                throw Misfit("\(value.text()) is not one of [\(words)]")
            }
            return choice
        }
    }

    /// A list whose items have one format.
    package static func list<Item>(_ item: Format<Item>, _ count: ClosedRange<Int> = 0...10_000) -> Format
    where Value == [Item] {
        Format { value, lenient throws(Misfit) in
            guard case .array(let items) = value else { throw Misfit("\(value.text()) is not of type 'array'") }
            if items.count < count.lowerBound { throw Misfit("\(value.text()) is too short") }
            if items.count > count.upperBound { throw Misfit("\(value.text()) is too long") }
            var result: [Item] = []
            for element in items { result.append(try item.read(element, lenient)) }
            return result
        }
    }

    /// Free keys with text values: metadata, extra specs.
    package static func pairs(key: ClosedRange<Int> = 1...255, value length: ClosedRange<Int> = 0...255) -> Format
    where Value == [String: String] {
        Format { value, _ throws(Misfit) in
            guard case .object(let object) = value else { throw Misfit("\(value.text()) is not of type 'object'") }
            var pairs: [String: String] = [:]
            for (name, item) in object {
                guard key.contains(name.unicodeScalars.count) else {
                    throw Misfit("'\(name)' must have \(key.lowerBound) to \(key.upperBound) characters")
                }
                guard case .string(let text) = item else { throw Misfit("\(item.text()) is not of type 'string'") }
                guard length.contains(text.unicodeScalars.count) else { throw Misfit("'\(text)' is too long") }
                pairs[name] = text
            }
            return pairs
        }
    }
}

extension Array {
    /// Maps with a closure that may throw a typed error, which `map` cannot say yet for all of them.
    package func mapping<Other>(_ change: (Element) throws(Fault) -> Other) throws(Fault) -> [Other] {
        var result: [Other] = []
        result.reserveCapacity(count)
        for element in self { result.append(try change(element)) }
        return result
    }
}
