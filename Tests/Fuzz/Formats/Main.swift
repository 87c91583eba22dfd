// SPDX-License-Identifier: Apache-2.0
import CFuzzer
import Glibc
import Image
import Kernel

/// libFuzzer's end of Tests/Fuzz/formats: whatever the bytes are, the parsers of image formats give a size or refuse
/// them with 415. A trap, an endless loop or another status ends the run with the input kept.
@main
enum FormatFuzzer {
    /// What clients declare; the first byte of an input picks one.
    static let declared = ["raw", "qcow2", "vhd", "vhdx", "vmdk", "vdi", "iso", "ami", "ploop", "ova"]

    static func main() {
        var count = CommandLine.argc
        var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
        exit(
            LLVMFuzzerRunDriver(&count, &arguments) { data, size in
                FormatFuzzer.judge(Array(UnsafeBufferPointer(start: data, count: size)))
                return 0
            })
    }

    private static func judge(_ input: [UInt8]) {
        guard let pick = input.first else { return }
        let format = declared[Int(pick) % declared.count]
        let bytes = Spread(input)
        do throws(Fault) {
            let size = try Inspection.virtualSize(
                of: bytes, disk: format, container: format == "ova" ? "ova" : "bare")
            precondition(size ?? 1 > 0, "a disk of no size")
        } catch {
            precondition(error.status == 415, error.description)
        }
    }
}

/// The input laid out as a file: formats look at far places, which small inputs would never reach. Its second byte says
/// how many KiB of nothing stand in the middle.
private struct Spread: ImageBytes {
    private static let head = 1024
    private let bytes: [UInt8]
    private let gap: Int

    init(_ input: [UInt8]) {
        gap = input.count > 2 ? Int(input[1]) * 1024 : 0
        bytes = Array(input.dropFirst(2))
    }

    var size: Int { bytes.count > Spread.head ? bytes.count + gap : bytes.count }

    func read(at offset: Int, count: Int) throws(Fault) -> [UInt8] {
        guard offset >= 0, offset < size, count > 0 else { return [] }
        return (offset..<min(size, offset + min(count, size))).map { place in
            if place < Spread.head { return bytes[place] }
            return place < Spread.head + gap ? 0 : bytes[min(place - gap, bytes.count - 1)]
        }
    }
}
