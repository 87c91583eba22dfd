// SPDX-License-Identifier: Apache-2.0
package import Kernel
internal import Synchronization

/// Bytes far away, for the parsers of formats: fetched in blocks, of which the last ones are kept.
package final class RangedBytes: ImageBytes {
    package typealias Fetch = @Sendable (_ offset: Int, _ count: Int) throws(Fault) -> [UInt8]

    package let size: Int
    private let fetch: Fetch
    private let blocks = Mutex<[(index: Int, bytes: [UInt8])]>([])
    private static let block = 256 * 1024
    private static let kept = 8

    /// - Parameter fetch: called with ranges within the size, on the thread that reads.
    package init(size: Int, _ fetch: @escaping Fetch) {
        self.size = size
        self.fetch = fetch
    }

    package func read(at offset: Int, count: Int) throws(Fault) -> [UInt8] {
        guard offset >= 0, offset < size, count > 0 else { return [] }
        let end = offset + min(count, size - offset)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(end - offset)
        var at = offset
        while at < end {
            let block = try block(at / Self.block)
            let start = at % Self.block
            let portion = min(end - at, block.count - start)
            guard portion > 0 else { throw .unavailable("Image data ended early.") }
            bytes += block[start..<start + portion]
            at += portion
        }
        return bytes
    }

    private func block(_ index: Int) throws(Fault) -> [UInt8] {
        if let found = blocks.withLock({ $0.first { $0.index == index } }) { return found.bytes }
        let start = index * Self.block
        let bytes = try fetch(start, min(Self.block, size - start))
        blocks.withLock { blocks in
            blocks.append((index, bytes))
            if blocks.count > Self.kept { blocks.removeFirst() }
        }
        return bytes
    }
}

extension HTTPBody {
    /// As the body of an answer: what comes from one server goes to another's client.
    /// - Parameter skipping: bytes at the beginning that the client did not ask for.
    package func asResponse(skipping: Int = 0, length: Int) -> HTTPResponse.Body {
        .stream(length: length) { writer async throws(Fault) in
            var skip = skipping
            var left = length
            while left > 0, var bytes = try await read() {
                if skip > 0 {
                    let dropped = min(skip, bytes.count)
                    skip -= dropped
                    bytes.removeFirst(dropped)
                }
                if bytes.count > left { bytes.removeLast(bytes.count - left) }
                left -= bytes.count
                if !bytes.isEmpty { try await writer.write(bytes) }
            }
            guard left == 0 else { throw .unavailable("Image data ended early.") }
        }
    }
}
