// SPDX-License-Identifier: Apache-2.0
import Glibc
import Kernel

/// TERM, INT and HUP, waited for by a thread of their own. They are blocked before any other thread starts, so that
/// none of those is ever interrupted by them.
struct Signals: Sendable {
    private static var set: sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in [SIGTERM, SIGINT, SIGHUP] { sigaddset(&set, signal) }
        return set
    }

    /// For the main thread, before there is another one.
    static func block() {
        var set = Signals.set
        pthread_sigmask(SIG_BLOCK, &set, nil)
        signal(SIGPIPE, SIG_IGN)
    }

    /// The next of them, by number.
    func next() async throws(Fault) -> Int32 {
        let wake = Wake()
        let caught = Caught()
        try DedicatedThread.start {
            var set = Signals.set
            var number: Int32 = 0
            while sigwait(&set, &number) != 0 {}
            caught.set(number)
            wake.signal()
        }
        await wake.wait()
        return caught.number
    }
}
