// SPDX-License-Identifier: Apache-2.0
import Engines
import Kernel

/// What engines do, for the person at the terminal and for the log.
enum EngineLines {
    static func tell(_ event: EngineEvent, _ log: Log) {
        switch event {
        case .up(let name, let how, let time):
            let what = how == .adopted ? "taken over" : "started"
            Terminal.say("  \(name.padded(16)) \(what) in \(time.milliseconds) ms")
        case .died(let name, let pid):
            log.error("engine died", ["engine": name, "pid": Int(pid)])
        case .healed(let name, let time):
            log.warning("engine is back", ["engine": name, "after_ms": time.milliseconds])
        case .restartFailed(let name, let fault, let next):
            log.error("engine does not start", ["engine": name, "error": fault.message, "next_ms": next.milliseconds])
        case .stopped(let name, let time):
            log.info("engine stopped", ["engine": name, "ms": time.milliseconds])
        case .stopFailed(let name, let fault):
            log.error("engine does not stop", ["engine": name, "error": fault.message])
        case .notReady(let what, let fault):
            log.warning("the first guest will start more slowly", ["what": what, "error": fault.message])
        }
    }
}
