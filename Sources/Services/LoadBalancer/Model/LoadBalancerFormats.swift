// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Formats of members, with the reasons worded as WSME's types word them.
extension Format where Value == String {
    static func words(_ maximum: Int = 255, atLeast minimum: Int = 0) -> Format {
        Format { value, _ throws(Misfit) in
            guard case .string(let text) = value else { throw Misfit("Value should be string") }
            let count = text.unicodeScalars.count
            guard count >= minimum else {
                throw Misfit("Value should have a minimum character requirement of \(minimum)")
            }
            guard count <= maximum else {
                throw Misfit("Value should have a maximum character requirement of \(maximum)")
            }
            return text
        }
    }

    /// Text in one line: it ends up in a balancer's configuration.
    static func line(_ maximum: Int = 255) -> Format {
        words(maximum).map { text throws(Misfit) in
            guard !text.unicodeScalars.contains(where: { $0 == "\n" || $0 == "\r" }) else {
                throw Misfit("Value should match the pattern ^[^\\r\\n]*$")
            }
            return text
        }
    }

    static var id: Format {
        Format { value, _ throws(Misfit) in
            guard case .string(let text) = value, Hex.isUUID(text) else { throw Misfit("Value should be UUID format") }
            return text
        }
    }

    static var ip: Format {
        Format { value, _ throws(Misfit) in
            guard let text = value.string, AddressText.version(text) != nil else {
                throw Misfit("Value should be IPv4 or IPv6 format")
            }
            return text
        }
    }

    static var block: Format {
        Format { value, _ throws(Misfit) in
            guard let text = value.string, let block = AddressBlock.text(text) else {
                throw Misfit("Value should be IPv4 or IPv6 CIDR format")
            }
            return block
        }
    }

    static var alpn: Format {
        Format { value, _ throws(Misfit) in
            guard let text = value.string, TLSSettings.protocols.contains(text) else {
                throw Misfit("Value should be a valid ALPN protocol ID")
            }
            return text
        }
    }

    static var webAddress: Format {
        Format { value, _ throws(Misfit) in
            guard let text = value.string, WebAddress.isAbsolute(text) else {
                throw Misfit("Value must be a valid URL string")
            }
            return text
        }
    }

    static var webPath: Format {
        Format { value, _ throws(Misfit) in
            guard let text = value.string, WebAddress.isPath(text) else {
                throw Misfit("Value must be a valid URL Path string")
            }
            return text
        }
    }

    /// `200`, `200,202` or `200-204`.
    static var codes: Format {
        Format { value, _ throws(Misfit) in
            guard let text = value.string, HTTPCodes.isList(text) else {
                throw Misfit("Value should match the pattern ^(\\d{3}(\\s*,\\s*\\d{3})*)$|^(\\d{3}-\\d{3})$")
            }
            return text
        }
    }

    static var domain: Format {
        words(255, atLeast: 1).map { text throws(Misfit) in
            let labels = text.split(separator: ".", omittingEmptySubsequences: false)
            let fits = labels.allSatisfy { label in
                !label.isEmpty && label.utf8.count <= 63 && label.first != "-" && label.last != "-"
                    && label.utf8.allSatisfy { WebAddress.isAlphanumeric($0) || $0 == UInt8(ascii: "-") }
            }
            guard fits else { throw Misfit("Value should match the pattern of a domain name") }
            return text
        }
    }

    static var cookie: Format {
        words(255, atLeast: 1).map { text throws(Misfit) in
            guard
                !text.unicodeScalars.contains(where: {
                    $0.properties.isWhitespace || ",;\\".unicodeScalars.contains($0)
                })
            else { throw Misfit("Value should match the pattern ^[^\\s,;\\\\]+$") }
            return text
        }
    }
}

extension Format where Value == Int {
    static func whole(_ minimum: Int, _ maximum: Int = Int.max) -> Format {
        Format { value, _ throws(Misfit) in
            let number: Int
            switch value {
            case .integer(let whole): number = Int(whole)
            case .bool(let truth): number = truth ? 1 : 0
            case .double(let real) where real == real.rounded() && abs(real) < 1e15: number = Int(real)
            case .string(let text):
                guard let whole = Int(text) else {
                    throw Misfit("invalid literal for int() with base 10: '\(text)'")
                }
                number = whole
            default: throw Misfit("Wrong type. Expected '<class 'int'>', got '\(value.bare)'")
            }
            guard number >= minimum else { throw Misfit("Value should be greater or equal to \(minimum)") }
            guard number <= maximum else { throw Misfit("Value should be lower or equal to \(maximum)") }
            return number
        }
    }

    static func among(_ numbers: [Int]) -> Format {
        whole(Int.min).map { number throws(Misfit) in
            guard numbers.contains(number) else {
                throw Misfit("Value should be one of: \(numbers.map(String.init).joined(separator: ", "))")
            }
            return number
        }
    }

    static var port: Format { whole(1, 65_535) }
    static var milliseconds: Format { whole(0, 24 * 24 * 60 * 60 * 1000) }
}

extension Format where Value == Bool {
    static var truth: Format {
        Format { value, _ throws(Misfit) in
            switch value {
            case .bool(let truth): return truth
            case .integer(let number): return number != 0
            case .string(let text):
                switch text.lowercased() {
                case "true", "t", "yes", "y", "on", "1": return true
                case "false", "f", "no", "n", "off", "0": return false
                default: break
                }
            default: break
            }
            throw Misfit("Value not an unambiguous boolean: \(value.bare)")
        }
    }
}

extension Format {
    /// One of a few words.
    static func one(of type: Value.Type) -> Format
    where Value: RawRepresentable & CaseIterable & Sendable, Value.RawValue == String {
        Format { value, _ throws(Misfit) in
            guard let text = value.string, let choice = Value(rawValue: text) else {
                let words = Value.allCases.map(\.rawValue).joined(separator: ", ")
                throw Misfit("Value should be one of: \(words)")
            }
            return choice
        }
    }

    static func several<Item: Sendable>(_ item: Format<Item>) -> Format where Value == [Item] {
        Format { value, lenient throws(Misfit) in
            guard case .array(let items) = value else {
                throw Misfit("Wrong type. Expected '[]', got '\(value.bare)'")
            }
            var result: [Item] = []
            for element in items { result.append(try item.read(element, lenient)) }
            return result
        }
    }
}

extension Format where Value == [String: String] {
    /// Free keys with text values.
    static var headers: Format {
        Format { value, _ throws(Misfit) in
            guard case .object(let object) = value else {
                throw Misfit("Wrong type. Expected a dictionary, got '\(value.bare)'")
            }
            var pairs: [String: String] = [:]
            for (name, item) in object {
                switch item {
                case .string(let text): pairs[name] = text
                case .bool, .integer, .double: pairs[name] = item.bare
                default: throw Misfit("Value should be string")
                }
            }
            return pairs
        }
    }
}
