// SPDX-License-Identifier: Apache-2.0
import JSON
import Testing

/// A small seeded generator (SplitMix64), so that a failure is a seed.
private struct Dice {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func word() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func below(_ bound: Int) -> Int { Int(word() % UInt64(bound)) }

    mutating func text() -> String {
        let alphabets: [[Unicode.Scalar]] = [
            Array("abcdefghijklmnopqrstuvwxyz0123456789-_:".unicodeScalars),
            Array("\"\\/\u{0}\u{1F}\n\t \u{7F}".unicodeScalars),
            Array("éß€漢😀\u{301}\u{2028}\u{FFFF}\u{10FFFF}".unicodeScalars),
        ]
        var text = ""
        for _ in 0..<below(24) {
            let alphabet = alphabets[max(0, below(6) - 3)]
            text.unicodeScalars.append(alphabet[below(alphabet.count)])
        }
        return text
    }

    mutating func value(depth: Int) -> JSON {
        switch below(depth > 0 ? 8 : 6) {
        case 0: return nil
        case 1: return .bool(below(2) == 0)
        case 2: return .integer(Int64(bitPattern: word()) >> Int64(below(64)))
        case 3:
            let double = Double(bitPattern: word())
            return .double(double.isFinite ? double : Double(below(1000)) / 8)
        case 4, 5: return .string(text())
        case 6: return .array((0..<below(6)).map { _ in value(depth: depth - 1) })
        default:
            var object = JSONObject()
            for _ in 0..<below(below(8) == 0 ? 50 : 6) { object[text()] = value(depth: depth - 1) }
            return .object(object)
        }
    }
}

struct JSONPropertyTests {
    @Test("What is written is read back the same, plainly and for people", arguments: 0..<20 as Range<UInt64>)
    func roundTrip(seed: UInt64) throws {
        var dice = Dice(seed: seed)
        for _ in 0..<50 {
            let value = dice.value(depth: 5)
            let bytes = value.bytes()
            let read = try JSON.parse(bytes)
            #expect(read == value)
            #expect(read.bytes() == bytes)
            #expect(try JSON.parse(value.text(pretty: true)) == value)
        }
    }

    @Test(
        "A spoiled document is read or refused, never more; what is read can be written",
        arguments: 0..<20 as Range<UInt64>)
    func mutations(seed: UInt64) {
        var dice = Dice(seed: seed &+ 1000)
        let marks = Array("{}[]\",:\\u0e-+.tfn \u{0}".utf8) + [0xFF, 0xC3, 0xED, 0xA0, 0xF0]
        for _ in 0..<200 {
            var bytes = dice.value(depth: 4).bytes()
            for _ in 0...dice.below(4) {
                let place = dice.below(bytes.count + 1)
                switch dice.below(4) {
                case 0: bytes.insert(marks[dice.below(marks.count)], at: place)
                case 1: if place < bytes.count { bytes.remove(at: place) }
                case 2: if place < bytes.count { bytes[place] = UInt8(truncatingIfNeeded: dice.word()) }
                default: bytes.removeSubrange(place...)
                }
            }
            // In an allocation of exactly this size, so that a sanitizer sees a read beyond it.
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
            defer { copy.deallocate() }
            copy.copyBytes(from: bytes)
            do {
                let value = try JSON.parse(UnsafeRawBufferPointer(copy))
                #expect((try? JSON.parse(value.bytes())) == value)
            } catch {
                #expect((0...bytes.count).contains(error.offset))
            }
        }
    }

    @Test("Every double comes back bit by bit", arguments: 0..<4 as Range<UInt64>)
    func doubles(seed: UInt64) throws {
        var dice = Dice(seed: seed)
        for _ in 0..<2000 {
            let value = Double(bitPattern: dice.word())
            guard value.isFinite else { continue }
            #expect(try JSON.parse("\(value)").double?.bitPattern == value.bitPattern)
            let short = Double(dice.below(1_000_000)) / 1000
            #expect(try JSON.parse("\(short)").double == short)
        }
    }
}
