// SPDX-License-Identifier: Apache-2.0
internal import Glibc

extension ConfigurationSource {
    /// A file, or why it cannot be read, in one sentence.
    static func read(_ path: String) -> Result<ConfigurationSource, ConfigurationErrors> {
        func failure(_ reason: String) -> Result<ConfigurationSource, ConfigurationErrors> {
            .failure(ConfigurationErrors(mistakes: ["\(path): the file cannot be read (\(reason))."]))
        }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return failure(String(cString: strerror(errno))) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let got = Glibc.read(descriptor, &chunk, chunk.count)
            if got == 0 { break }
            if got < 0 {
                if errno == EINTR { continue }
                return failure(String(cString: strerror(errno)))
            }
            bytes += chunk[0..<got]
            guard bytes.count <= 16 << 20 else { return failure("it is larger than 16 MiB") }
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { return failure("it is not UTF-8") }
        return .success(ConfigurationSource(name: path, text: text))
    }
}
