// SPDX-License-Identifier: Apache-2.0
internal import COpenSSL

/// What OpenSSL has to say, on the calling thread, of what failed just now: all of it, the cause first.
enum OpenSSLError {
    static var text: String {
        var reasons: [String] = []
        while true {
            let code = ERR_get_error()
            guard code != 0 else { break }
            var text = [CChar](repeating: 0, count: 256)
            ERR_error_string_n(code, &text, text.count)
            reasons.append(String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
        }
        return reasons.isEmpty ? "OpenSSL gives no reason" : reasons.joined(separator: "; ")
    }
}
