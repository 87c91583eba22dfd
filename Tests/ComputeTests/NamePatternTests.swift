// SPDX-License-Identifier: Apache-2.0
@testable import Compute
import Testing

struct NamePatternTests {
    static let cases: [(String, String, Bool)] = [
        ("web", "my-Web-1", true), ("^web", "my-web", false), ("^.+\\-[0-9]+$", "srv-12", true),
        ("^.+\\-[0-9]+$", "srv-x", false), ("a|b", "xxb", true), ("^(ab)*$", "abab", true), ("^(ab)*$", "aba", false),
        ("[^0-9]", "12", false), ("colou?r", "a color", true), ("", "anything", true), ("\\d\\d", "a42", true),
        ("^$", "", true), ("x.z", "xyz", true), ("[a-]", "-", true), ("[]x]", "]", true),
    ]

    @Test("A pattern finds what a regular expression finds", arguments: cases)
    func finds(pattern: String, text: String, isFound: Bool) throws {
        #expect(try #require(NamePattern(pattern)).matches(text) == isFound)
    }

    @Test("What is no expression is none", arguments: ["(", "[a", "*a", "a)", "[z-a]", "\\"])
    func refuses(pattern: String) { #expect(NamePattern(pattern) == nil) }

    @Test("A pattern that would take others for ever is done at once")
    func patience() throws {
        let pattern = try #require(NamePattern("^(((a*)*)*)*b$"))
        #expect(!pattern.matches(String(repeating: "a", count: 255)))
    }
}
