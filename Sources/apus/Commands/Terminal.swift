// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Lines for the person who started the program.
enum Terminal {
    static func say(_ line: String) { put(line + "\n", on: 1) }
    static func complain(_ line: String) { put(line + "\n", on: 2) }
    static func exit(_ status: Int32) -> Never { Glibc.exit(status) }

    private static func put(_ text: String, on file: Int32) {
        let bytes = Array(text.utf8)
        var at = 0
        while at < bytes.count {
            let put = bytes.withUnsafeBytes { write(file, $0.baseAddress! + at, bytes.count - at) }
            if put < 0, errno == EINTR { continue }
            guard put > 0 else { return }
            at += put
        }
    }
}
