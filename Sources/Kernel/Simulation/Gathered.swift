// SPDX-License-Identifier: Apache-2.0
internal import Kernel
internal import Glibc
internal import Synchronization

/// Chunks of a streamed answer, put together.
final class Gathered: Sendable {
    private let bytes = Mutex<[UInt8]>([])

    func append(_ chunk: [UInt8]) { bytes.withLock { $0 += chunk } }
    var all: [UInt8] { bytes.withLock { $0 } }
}

extension OpenFile {
    /// A part of the file, read whole.
    func bytes(offset: Int, length: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: length) { buffer, filled in
            while filled < length {
                let got = pread(descriptor, buffer.baseAddress! + filled, length - filled, off_t(offset + filled))
                guard got > 0 else { return }
                filled += got
            }
        }
    }
}
