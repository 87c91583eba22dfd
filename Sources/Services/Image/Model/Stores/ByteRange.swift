// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// The part of an image that a download asks for.
struct ByteRange: Equatable {
    let offset: Int
    let length: Int

    /// From `Range`, or from `Content-Range` as Glance's older clients send it; nil when neither is there.
    init?(_ request: Request, size: Int) throws(Fault) {
        if let text = request.header("Range") {
            try self.init(range: text, size: size)
        } else if let text = request.header("Content-Range") {
            try self.init(contentRange: text, size: size)
        } else {
            return nil
        }
    }

    /// `bytes=0-4`, `bytes=5-`, `bytes=-2`.
    init(range text: String, size: Int) throws(Fault) {
        if text.contains(",") {
            throw .badRequest(
                "Requests with multiple ranges are not supported in Glance. You may make multiple single-range "
                    + "requests instead.")
        }
        let pair = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let ends = (pair.count == 2 ? pair[1] : "").split(separator: "-", omittingEmptySubsequences: false)
        guard pair[0].lowercased() == "bytes", ends.count == 2 else {
            throw .badRange("Invalid Range header.", size)
        }
        let first = ByteRange.number(ends[0])
        let last = ByteRange.number(ends[1])
        switch (first, last) {
        case (nil, .some(let count)) where ends[0].isEmpty && count > 0 && size > 0:
            try self.init(start: max(0, size - count), end: size, size: size)
        case (.some(let start), nil) where ends[1].isEmpty:
            try self.init(start: start, end: size, size: size)
        case (.some(let start), .some(let last)) where last >= start:
            try self.init(start: start, end: last < size ? last + 1 : size, size: size)
        default: throw .badRange("Invalid Range header.", size)
        }
    }

    /// `bytes 0-4/10` or `bytes 0-4/*`.
    init(contentRange text: String, size: Int) throws(Fault) {
        let words = text.split(separator: " ", maxSplits: 1)
        let halves = (words.count == 2 ? words[1] : "").split(separator: "/", omittingEmptySubsequences: false)
        let ends = (halves.first ?? "").split(separator: "-", omittingEmptySubsequences: false)
        guard halves.count == 2, ends.count == 2, words[0].lowercased() == "bytes",
            let start = ByteRange.number(ends[0]),
            let last = ByteRange.number(ends[1]), last >= start
        else { throw .badRange("Invalid Content-Range header.", size) }
        guard last < size else {
            throw .badRange(
                "Invalid stop position in Content-Range header. The stop position MUST be in the inclusive range "
                    + "[0, \(size - 1)].", size)
        }
        try self.init(start: start, end: last + 1, size: size)
    }

    private init(start: Int, end: Int, size: Int) throws(Fault) {
        guard start < size else {
            throw .badRange(
                "Invalid start position in Range header. Start position MUST be in the inclusive range "
                    + "[0, \(size - 1)].", size)
        }
        offset = start
        length = end - start
    }

    /// Digits only: no signs, no blanks.
    private static func number(_ text: some StringProtocol) -> Int? {
        guard !text.isEmpty, text.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
        return Int(text)
    }
}

extension Fault {
    fileprivate static func badRange(_ message: String, _ size: Int) -> Fault {
        Fault(416, message, headers: ["Content-Range": "bytes */\(size)"])
    }
}
