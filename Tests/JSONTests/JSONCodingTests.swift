// SPDX-License-Identifier: Apache-2.0
import Base
import JSON
import Testing

private struct Point: Codable, Equatable { var x: Int, y: Int? }

private enum Shape: Codable, Equatable {
    case circle(radius: Double)
    case line([Point])
    case empty
}

private struct Everything: Codable, Equatable {
    enum Level: String, Codable { case low, high }

    var text: String, flag: Bool, count: Int, small: UInt8, ratio: Double, level: Level, maybe: String?, absent: Int?
    var tags: [String], map: [String: Int], points: [Point], free: JSON, shapes: [Shape], at: Timestamp,
        members: JSONObject
}

private class Animal: Codable {
    var name = "cat"
}

private final class Pet: Animal {
    var owner = "ann"
    enum Key: String, CodingKey { case owner }

    override init() { super.init() }
    required init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        try super.init(from: container.superDecoder())
        owner = try container.decode(String.self, forKey: .owner)
    }
    override func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try super.encode(to: container.superEncoder())
        try container.encode(owner, forKey: .owner)
    }
}

struct JSONCodingTests {
    private let value = Everything(
        text: "é\n", flag: true, count: -5, small: 255, ratio: 2.5, level: .high, maybe: "m", absent: nil, tags: ["a"],
        map: ["k": 1], points: [Point(x: 1, y: nil), Point(x: 2, y: 3)], free: ["any": [1, nil, "x", 1.5]],
        shapes: [.circle(radius: 1), .line([Point(x: 0, y: 0)]), .empty], at: Timestamp(seconds: 7), members: ["m": 1])

    @Test("What is encoded is decoded the same, also by way of text")
    func roundTrip() throws {
        let json = try JSON.encode(value)
        #expect(json["level"] == "high" && json["at"] == 7_000_000 && json["absent"] == nil)
        #expect(json["free"] == ["any": [1, nil, "x", 1.5]])
        #expect(try JSON.decode(Everything.self, from: json) == value)
        #expect(try JSON.decode(Everything.self, from: JSON.parse(json.bytes())) == value)
    }

    @Test("Single values and arrays need no object around them")
    func fragments() throws {
        #expect(try JSON.encode("x") == "x")
        #expect(try JSON.encode([1, nil, 3]) == [1, nil, 3])
        #expect(try JSON.encode(Int?.none) == nil)
        #expect(try JSON.decode([Int?].self, from: [1, nil, 3]) == [1, nil, 3])
        #expect(try JSON.decode(Double.self, from: 2) == 2.0)
        #expect(try JSON.decode(Int.self, from: 2.0) == 2)
        #expect(try JSON.decode(JSON.self, from: ["a": nil]) == ["a": nil])
    }

    @Test("A class and its parent share an object")
    func inheritance() throws {
        let pet = Pet()
        pet.owner = "bob"
        pet.name = "dog"
        let json = try JSON.encode(pet)
        #expect(json == ["super": ["name": "dog"], "owner": "bob"])
        let read = try JSON.decode(Pet.self, from: json)
        #expect(read.owner == "bob" && read.name == "dog")
    }

    @Test("An error names the path")
    func errors() {
        let bad: JSON = [["x": 1], ["x": "one"]]
        let error = #expect(throws: DecodingError.self) { try JSON.decode([Point].self, from: bad) }
        guard case .typeMismatch(_, let context) = error else {
            Issue.record("another error: \(String(describing: error))")
            return
        }
        #expect(context.codingPath.map(\.stringValue) == ["1", "x"])
        #expect(throws: DecodingError.self) { try JSON.decode(Point.self, from: [:]) }
        #expect(throws: DecodingError.self) { try JSON.decode(UInt8.self, from: 256) }
        #expect(throws: DecodingError.self) { try JSON.decode(Int.self, from: 1.5) }
        #expect(throws: EncodingError.self) { try JSON.encode(UInt64.max) }
        #expect(throws: EncodingError.self) { try JSON.encode(Double.nan) }
    }
}
