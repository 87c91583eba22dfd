// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Formats of members, with the reasons worded as neutron-lib's validators word them.
extension Format where Value == String {
    static func string(_ maximum: Int = 255) -> Format {
        Format { value, _ throws(Misfit) in
            guard case .string(let text) = value else { throw Misfit("'\(value.bare)' is not a valid string") }
            guard text.unicodeScalars.count <= maximum else {
                throw Misfit("'\(text)' exceeds maximum length of \(maximum)")
            }
            return text
        }
    }
    static var id: Format {
        Format { value, _ throws(Misfit) in
            guard case .string(let text) = value, Hex.isUUID(text) else {
                throw Misfit("'\(value.bare)' is not a valid UUID")
            }
            return text
        }
    }
    static func among(_ words: String...) -> Format {
        Format { value, _ throws(Misfit) in
            guard let text = value.string, words.contains(text) else {
                throw Misfit("'\(value.bare)' is not in [\(words.map { "'\($0)'" }.joined(separator: ", "))]")
            }
            return text
        }
    }
}

extension Format where Value == Bool {
    static var truth: Format {
        Format { value, _ throws(Misfit) in
            switch value {
            case .bool(let truth): return truth
            case .integer(let number) where number == 0 || number == 1: return number == 1
            case .string(let text):
                switch text.lowercased() {
                case "true", "1": return true
                case "false", "0": return false
                default: break
                }
            default: break
            }
            throw Misfit("'\(value.bare)' cannot be converted to boolean")
        }
    }
}

extension Format where Value == Int {
    static func whole(_ range: ClosedRange<Int>) -> Format {
        Format { value, _ throws(Misfit) in
            let number: Int
            switch value {
            case .integer(let whole): number = Int(whole)
            case .string(let text):
                guard let whole = Int(text) else { throw Misfit("'\(text)' is not an integer") }
                number = whole
            default: throw Misfit("'\(value.bare)' is not an integer")
            }
            guard number >= range.lowerBound else {
                throw Misfit("'\(number)' is too small - must be at least '\(range.lowerBound)'")
            }
            guard number <= range.upperBound else {
                throw Misfit("'\(number)' is too large - must be no larger than '\(range.upperBound)'")
            }
            return number
        }
    }
}

extension Format where Value == IPAddress {
    static var address: Format {
        Format { value, _ throws(Misfit) in
            guard let text = value.string, let address = IPAddress(text) else {
                throw Misfit("'\(value.bare)' is not a valid IP address")
            }
            return address
        }
    }
}

extension Format where Value == MACAddress {
    static var mac: Format {
        Format { value, _ throws(Misfit) in
            // Upstream takes those of groups, too, and refuses only nobody's and everybody's.
            guard let text = value.string, let address = MACAddress(text), address.number != 0,
                address.number != 0xFFFF_FFFF_FFFF
            else { throw Misfit("'\(value.bare)' is not a valid MAC address") }
            return address
        }
    }
}

extension Format where Value == CIDR {
    /// Host bits are dropped, as upstream does.
    static var looseCIDR: Format {
        Format { value, _ throws(Misfit) in
            guard let text = value.string, text.contains("/"), let block = CIDR(loose: text),
                block.version == .v6 || text.hasSuffix("/\(block.prefix)")
            else { throw Misfit("'\(value.bare)' is not a valid IP subnet") }
            return block
        }
    }

    /// Where a route leads: a network, not a host in it.
    static var route: Format {
        Format { value, _ throws(Misfit) in
            guard let text = value.string, text.contains("/"), let block = CIDR(strict: text) else {
                throw Misfit("'\(value.bare)' is not a valid CIDR")
            }
            guard !block.network.isLoopback else { throw Misfit("'\(text)' is not a routable CIDR") }
            return block
        }
    }
}

extension Format {
    static func strings(_ item: Format<String>) -> Format where Value == [String] {
        Format<[String]>.list(item).map { texts throws(Misfit) in
            guard Set(texts).count == texts.count else {
                throw Misfit("Duplicate items in the list: '\(texts.joined(separator: ", "))'")
            }
            return texts
        }
    }
}

extension JSON {
    /// A value inside a sentence, without JSON's quotes around text.
    var bare: String { string ?? (isNull ? "None" : text()) }
}
