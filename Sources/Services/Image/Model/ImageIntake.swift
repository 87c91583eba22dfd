// SPDX-License-Identifier: Apache-2.0
internal import Kernel
internal import Synchronization

/// Bytes on their way from a client into the store: written and digested at once, while the next ones arrive.
struct ImageIntake: Sendable {
    /// What arrived.
    struct Received: Sendable {
        let size: Int
        let md5: String
        let sha512: String
    }

    let service: ImageService

    /// Small pieces are gathered to this much before they are handed on.
    private static let portion = 192 * 1024

    func receive(_ body: HTTPBody, into draft: any ImageDraft, announced: Int?) async throws(Fault) -> Received {
        let md5 = DigestLane(.md5)
        let sha512 = DigestLane(.sha512)
        let cap = service.options.sizeCap
        if let announced, announced > cap { throw .imageTooLarge(cap) }
        var size = 0
        var next = try await portion(of: body)
        while let bytes = next {
            size += bytes.count
            guard size <= cap else { throw .imageTooLarge(cap) }
            async let written = outcome { () async throws(Fault) in try await draft.append(bytes) }
            async let first = outcome { () async throws(Fault) in try await md5.add(bytes, on: service.digesters) }
            async let second = outcome { () async throws(Fault) in try await sha512.add(bytes, on: service.digesters) }
            let arrived: Result<[UInt8]?, Fault>
            do throws(Fault) { arrived = .success(try await portion(of: body)) } catch { arrived = .failure(error) }
            let faults = await [written, first, second]
            if let fault = faults.compactMap({ $0 }).first { throw fault }
            next = try arrived.get()
        }
        return Received(size: size, md5: md5.finish(), sha512: sha512.finish())
    }

    private func portion(of body: HTTPBody) async throws(Fault) -> [UInt8]? {
        guard var bytes = try await body.read() else { return nil }
        while bytes.count < ImageIntake.portion {
            guard let more = try await body.read() else { break }
            bytes += more
        }
        return bytes
    }

    private func outcome(_ deed: @Sendable () async throws(Fault) -> Void) async -> Fault? {
        do throws(Fault) {
            try await deed()
            return nil
        } catch {
            return error
        }
    }
}

/// One digest, fed from threads that may compute.
private final class DigestLane: Sendable {
    private let digest: Mutex<Digest>

    init(_ algorithm: Digest.Algorithm) { digest = Mutex(Digest(algorithm)) }

    func add(_ bytes: [UInt8], on pool: BlockingPool) async throws(Fault) {
        try await pool.run { () throws(Fault) in self.digest.withLock { $0.update(bytes) } }
    }

    func finish() -> String { digest.withLock { Hex.encode($0.finish()) } }
}

extension Fault {
    static func imageTooLarge(_ cap: Int) -> Fault {
        .tooLarge("The incoming image is too large: at most \(cap) bytes are allowed.")
    }
}
