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
    private static let portion = 192 * 1024

    /// - Parameter remaining: how many bytes the project has room for; nil is any number.
    func receive(
        _ body: HTTPBody, into draft: any ImageDraft, announced: Int?, within remaining: Int? = nil
    ) async throws(Fault) -> Received {
        let digests = ImageDigests(on: service.digesters)
        let cap = service.options.sizeCap
        if let announced, announced > cap { throw .imageTooLarge(cap) }
        var size = 0
        var next = try await portion(of: body)
        while let bytes = next {
            size += bytes.count
            guard size <= cap else { throw .imageTooLarge(cap) }
            if let remaining, size > remaining { throw .storageQuota(size, remaining) }
            try await digests.add(bytes)
            async let written = outcome { () async throws(Fault) in try await draft.append(bytes) }
            let arrived: Result<[UInt8]?, Fault>
            do throws(Fault) { arrived = .success(try await portion(of: body)) } catch { arrived = .failure(error) }
            if let fault = await written { throw fault }
            next = try arrived.get()
        }
        let found = try await digests.finish()
        return Received(size: size, md5: found.md5, sha512: found.hash)
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

extension Fault {
    static func imageTooLarge(_ cap: Int) -> Fault {
        .tooLarge("The incoming image is too large: at most \(cap) bytes are allowed.")
    }
}
