// SPDX-License-Identifier: Apache-2.0
import Glibc
import Kernel

/// `apus up`: a whole cloud in this process, with the engines it needs, until it is told to stop.
struct Up {
    static let flags = UpSettings.flags
    private let settings: UpSettings

    init(_ flags: Flags) throws(Fault) { settings = try UpSettings(flags) }

    func run() async throws(Fault) {
        let watch = Stopwatch()
        Up.raiseDescriptorLimit()
        let signals = Signals()
        let directory = try DataDirectory(settings.data)
        let cloud = try await LocalCloud(settings, directory)
        do throws(Fault) {
            try await cloud.open()
        } catch {
            await cloud.close()
            throw error
        }
        cloud.introduce()
        Terminal.say("ready in \(watch.elapsed.milliseconds) ms")
        let number = await cloud.serve(until: signals)
        Terminal.say("stopping (signal \(number))")
        await cloud.close()
        Terminal.say("stopped")
    }

    /// Every connection is a descriptor, and login shells allow a thousand of them.
    private static func raiseDescriptorLimit() {
        var limit = rlimit()
        guard getrlimit(Int32(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = max(limit.rlim_cur, min(limit.rlim_max, 65_536))
        setrlimit(Int32(RLIMIT_NOFILE.rawValue), &limit)
    }
}
