// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import CMicrohttpd
internal import Glibc

/// Turns an answer into libmicrohttpd's own and gives it to the connection.
enum ResponseQueue {
    /// Up to here bytes are copied at once; longer ones are copied piecemeal while they are sent.
    private static let copied = 32 * 1024
    private static let block = 64 * 1024

    static func queue(_ response: HTTPResponse, on exchange: Exchange) -> MHD_Result {
        guard let built = build(response, for: exchange) else { return .NO }
        defer { MHD_destroy_response(built) }
        for (name, value) in response.headers where isSendable(name, value) {
            add(name, value, to: built)
        }
        if exchange.loop.draining, response.body.isPlain { add("Connection", "close", to: built) }
        return MHD_queue_response(exchange.connection, UInt32(clamping: response.status), built)
    }

    private static func build(_ response: HTTPResponse, for exchange: Exchange) -> OpaquePointer? {
        switch response.body {
        case .empty:
            // What a GET would bring, told to a HEAD.
            if exchange.isHead,
                let length = response.headers.first(where: { HTTPHeaders.same($0.0, "Content-Length") }),
                let count = UInt64(length.1)
            {
                return MHD_create_response_from_callback(count, block, noContent, nil, nil)
            }
            return cmhd_copied(nil, 0)
        case .bytes(let bytes) where bytes.count <= copied:
            return bytes.withUnsafeBytes { cmhd_copied($0.baseAddress, $0.count) }
        case .bytes(let bytes):
            let held = Unmanaged.passRetained(HeldBytes(bytes)).toOpaque()
            return MHD_create_response_from_callback(UInt64(bytes.count), block, heldContent, held, releaseHeld)
        case .file(let file, let offset, let length):
            let copy = fcntl(file.descriptor, F_DUPFD_CLOEXEC, 0)
            guard copy >= 0 else { return nil }
            return MHD_create_response_from_fd_at_offset64(UInt64(length), copy, UInt64(offset))
        case .stream(let length, _):
            let size = length.map { UInt64($0) } ?? cmhd_size_unknown
            guard exchange.stream != nil else {
                return MHD_create_response_from_callback(size, block, noContent, nil, nil)
            }
            let held = Unmanaged.passRetained(exchange).toOpaque()
            return MHD_create_response_from_callback(size, block, streamContent, held, releaseExchange)
        case .upgrade(let name, let headers, _):
            guard let gate = exchange.upgrade else { return nil }
            guard
                let built = MHD_create_response_for_upgrade(
                    upgradeOpened, Unmanaged.passUnretained(gate).toOpaque())
            else { return nil }
            add("Upgrade", name, to: built)
            for (name, value) in headers where isSendable(name, value) { add(name, value, to: built) }
            return built
        }
    }

    private static func add(_ name: String, _ value: String, to response: OpaquePointer) {
        _ = MHD_add_response_header(response, name, value)
    }

    /// The framing headers are the server's; a line break in a value would let a caller write headers of its own.
    static func isSendable(_ name: String, _ value: String) -> Bool {
        guard !value.utf8.contains(where: { $0 < 0x20 && $0 != 9 || $0 == 0x7F }), !name.isEmpty else { return false }
        switch name.utf8.count {
        case 4: return !HTTPHeaders.same(name, "Date")
        case 10: return !HTTPHeaders.same(name, "Connection") || HTTPHeaders.same(value, "close")
        case 14: return !HTTPHeaders.same(name, "Content-Length")
        case 17: return !HTTPHeaders.same(name, "Transfer-Encoding")
        default: return true
        }
    }

    static func reason(_ status: Int) -> String {
        MHD_get_reason_phrase_for(UInt32(clamping: status)).map { String(cString: $0) } ?? ""
    }
}

extension HTTPResponse.Body {
    fileprivate var isPlain: Bool {
        if case .upgrade = self { false } else { true }
    }
}

/// Bytes kept alive while libmicrohttpd sends them.
private final class HeldBytes {
    let bytes: [UInt8]
    init(_ bytes: [UInt8]) { self.bytes = bytes }
}

// MARK: - What libmicrohttpd calls, on the loop's thread

private func noContent(
    _ context: UnsafeMutableRawPointer?, _ position: UInt64, _ target: UnsafeMutablePointer<CChar>?, _ room: Int
) -> Int { cmhd_end_of_stream }

private func heldContent(
    _ context: UnsafeMutableRawPointer?, _ position: UInt64, _ target: UnsafeMutablePointer<CChar>?, _ room: Int
) -> Int {
    let held = Unmanaged<HeldBytes>.fromOpaque(context!).takeUnretainedValue()
    let count = min(room, held.bytes.count - Int(position))
    guard count > 0, let target else { return cmhd_end_of_stream }
    held.bytes.withUnsafeBytes { _ = memcpy(target, $0.baseAddress! + Int(position), count) }
    return count
}

private func releaseHeld(_ context: UnsafeMutableRawPointer?) {
    Unmanaged<HeldBytes>.fromOpaque(context!).release()
}

private func streamContent(
    _ context: UnsafeMutableRawPointer?, _ position: UInt64, _ target: UnsafeMutablePointer<CChar>?, _ room: Int
) -> Int {
    let exchange = Unmanaged<Exchange>.fromOpaque(context!).takeUnretainedValue()
    guard let stream = exchange.stream, let target else { return cmhd_end_with_error }
    // An announced length that is not reached is an error as well; libmicrohttpd closes in both cases.
    switch stream.take(target, room) {
    case .bytes(let count): return count
    case .end:
        if exchange.announcesLength { exchange.lookAgain() }
        return cmhd_end_of_stream
    case .broken:
        exchange.lookAgain()
        return cmhd_end_with_error
    case .nothingYet:
        exchange.suspend()
        return 0
    }
}

private func releaseExchange(_ context: UnsafeMutableRawPointer?) {
    Unmanaged<Exchange>.fromOpaque(context!).release()
}

private func upgradeOpened(
    _ context: UnsafeMutableRawPointer?, _ connection: OpaquePointer?, _ slot: UnsafeMutableRawPointer?,
    _ extra: UnsafePointer<CChar>?, _ count: Int, _ socket: Int32, _ handle: OpaquePointer?
) {
    guard let handle else { return }
    Unmanaged<UpgradeGate>.fromOpaque(context!).takeUnretainedValue()
        .opened(socket, Array(UnsafeRawBufferPointer(start: extra, count: count)), handle)
}
