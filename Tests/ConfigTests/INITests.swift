// SPDX-License-Identifier: Apache-2.0
import Config
import Testing

struct INITests {
    @Test("Comments, both separators, quotes, continuation lines and Windows line ends are read as oslo does")
    func reading() {
        let ini = INI(
            "# head\r\n; too\r\ndebug = true\r\n\r\n[database]\r\nconnection: 'sqlite:///a b'\r\n"
                + "hosts = one,\r\n  two,\r\n\tthree\r\nempty =\r\nurl = http://h/?a=b#c\r\n")
        #expect(ini.mistakes.isEmpty)
        #expect(ini.entries.map(\.section) == ["DEFAULT", "database", "database", "database", "database"])
        #expect(ini.entries.map(\.name) == ["debug", "connection", "hosts", "empty", "url"])
        #expect(ini.entries.map(\.value) == ["true", "sqlite:///a b", "one,\ntwo,\nthree", "", "http://h/?a=b#c"])
        #expect(ini.entries.map(\.line) == [3, 6, 7, 10, 11])
        #expect(ini.sections.map(\.name) == ["database"])
    }

    @Test(
        "What is neither section, option nor comment is a mistake with its line",
        arguments: [("a", 1), ("x = 1\n[open\n", 2), ("  indented\n", 1), ("[]", 1), ("= 3", 1)])
    func mistakes(text: String, line: Int) {
        #expect(INI(text).mistakes.map(\.line) == [line])
    }

    @Test("A blank line ends a value")
    func blank() {
        let ini = INI("a = 1\n\n  2\n")
        #expect(ini.entries.map(\.value) == ["1"])
        #expect(ini.mistakes.map(\.line) == [3])
    }
}
