// SPDX-License-Identifier: Apache-2.0
import JSON
import Testing

struct JSONTests {
    static let document: JSON = [
        "name": "laptop", "size": 3, "rate": 0.5, "ok": true, "none": nil, "tags": ["a", "b"], "inner": ["x": 1],
    ]

    @Test("A value is looked into by key and by index")
    func lookup() {
        let json = JSONTests.document
        #expect(json["name"]?.string == "laptop")
        #expect(json["size"]?.integer == 3 && json["size"]?.double == 3)
        #expect(json["rate"]?.double == 0.5 && json["rate"]?.integer == nil)
        #expect(json["ok"]?.bool == true)
        #expect(json["none"]?.isNull == true)
        #expect(json["tags"]?[1] == "b" && json["tags"]?[2] == nil)
        #expect(json["inner"]?["x"] == 1)
        #expect(json["missing"] == nil && json[0] == nil && JSON.null["x"] == nil)
    }

    @Test("Members keep their order; equality does not ask for it")
    func order() throws {
        let one = try JSON.parse(#"{"b":1,"a":2}"#)
        #expect(one.text() == #"{"b":1,"a":2}"#)
        #expect(one == ["a": 2, "b": 1])
        #expect(one.hashValue == (["a": 2, "b": 1] as JSON).hashValue)
        #expect(one != ["a": 2, "b": 2] && one != ["a": 2])
    }

    @Test("Members are set, replaced and removed, in small objects and in big ones", arguments: [3, 32, 33, 200])
    func mutation(count: Int) {
        var object = JSONObject()
        for number in 0..<count { object["k\(number)"] = .integer(Int64(number)) }
        #expect(object.count == count)
        object["k1"] = "one"
        #expect(object["k1"] == "one" && object.keys[1] == "k1")
        #expect(object.removeValue(forKey: "k0") == 0)
        #expect(object.removeValue(forKey: "k0") == nil)
        object["k2"] = nil
        #expect(object.count == count - 2 && object["k2"] == nil)
        for number in 3..<max(3, count) { #expect(object["k\(number)"] == .integer(Int64(number))) }
    }

    @Test("A nested member is set in place")
    func nested() {
        var json = JSONTests.document
        json["inner"]?["y"] = [1]
        json["name"] = nil
        #expect(json["inner"] == ["x": 1, "y": [1]])
        #expect(json["name"] == nil)
    }

    @Test("The form for people has two spaces per level")
    func pretty() throws {
        let json: JSON = ["a": [1, ["b": nil]], "c": [:], "d": []]
        let text = json.text(pretty: true)
        #expect(
            text == """
                {
                  "a": [
                    1,
                    {
                      "b": null
                    }
                  ],
                  "c": {},
                  "d": []
                }
                """)
        #expect(try JSON.parse(text) == json)
    }
}
