// SPDX-License-Identifier: Apache-2.0
internal import Kernel

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
    private static let portion = 64 * 1024
    /// So many portions may wait for the store.
    private static let depth = 8

    /// - Parameter remaining: how many bytes the project has room for; nil is any number.
    func receive(
        _ body: HTTPBody, into draft: any ImageDraft, announced: Int?, within remaining: Int? = nil
    ) async throws(Fault) -> Received {
        if let announced, announced > service.options.sizeCap { throw .imageTooLarge(service.options.sizeCap) }
        let digests = ImageDigests(on: service.digesters)
        let way = Passage<[UInt8]>(depth: Self.depth)
        async let written = Self.write(way, to: draft)
        let arrived: Result<Int, Fault>
        do throws(Fault) {
            arrived = .success(try await take(body, way, digests, remaining))
            way.end()
        } catch {
            way.end(dropping: true)
            arrived = .failure(error)
        }
        // Who could not write is why nobody read on.
        if let fault = await written { throw fault }
        let size = try arrived.get()
        let found = try await digests.finish()
        return Received(size: size, md5: found.md5, sha512: found.hash)
    }

    /// Hands on what arrives; gives how much it was.
    private func take(
        _ body: HTTPBody, _ way: Passage<[UInt8]>, _ digests: ImageDigests, _ remaining: Int?
    ) async throws(Fault) -> Int {
        let cap = service.options.sizeCap
        var size = 0
        while let bytes = try await portion(of: body) {
            size += bytes.count
            guard size <= cap else { throw .imageTooLarge(cap) }
            if let remaining, size > remaining { throw .storageQuota(size, remaining) }
            try await digests.add(bytes)
            guard await way.bring(bytes) else { break }
        }
        return size
    }

    private static func write(_ way: Passage<[UInt8]>, to draft: any ImageDraft) async -> Fault? {
        while let bytes = await way.next() {
            do throws(Fault) { try await draft.append(bytes) } catch {
                way.end(dropping: true)
                return error
            }
        }
        return nil
    }

    private func portion(of body: HTTPBody) async throws(Fault) -> [UInt8]? {
        guard var bytes = try await body.read() else { return nil }
        while bytes.count < ImageIntake.portion {
            guard let more = try await body.read() else { break }
            bytes += more
        }
        return bytes
    }
}

extension Fault {
    static func imageTooLarge(_ cap: Int) -> Fault {
        .tooLarge("The incoming image is too large: at most \(cap) bytes are allowed.")
    }
}
