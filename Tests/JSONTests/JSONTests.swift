// SPDX-License-Identifier: Apache-2.0
import JSON
import Testing

struct JSONTests {
    @Test func smoke() throws {
        let json = try JSON.parse(#"{"a": [1, -2.5e3, true, null, "x\né\ud83d\ude00"], "b": {}}"#)
        #expect(json.text() == #"{"a":[1,-2500.0,true,null,"x\né😀"],"b":{}}"#)
    }
}
