// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// What a power change means for a guest in some state: the same answer whatever the driver.
package enum PowerVerdict: Sendable, Hashable {
    case apply
    /// It is there already: repeating a change changes nothing.
    case nothing
    /// The change makes no sense from this state.
    case refuse
}

extension PowerChange {
    package func verdict(from state: GuestState) -> PowerVerdict {
        switch (self, state) {
        case (.rebootHard, _): .apply
        case (_, .none): .refuse
        case (.start, .running), (.stop, .shutdown), (.stop, .crashed), (.pause, .paused), (.unpause, .running),
            (.suspend, .suspended), (.resume, .running):
            .nothing
        case (.start, .shutdown), (.start, .crashed), (.start, .suspended), (.stop, .running), (.stop, .paused),
            (.rebootSoft, .running), (.pause, .running), (.unpause, .paused), (.suspend, .running),
            (.suspend, .paused), (.resume, .suspended):
            .apply
        default: .refuse
        }
    }

    /// The verb for messages: `start`, `stop`, ...
    package var verb: String {
        switch self {
        case .start: "start"
        case .stop: "stop"
        case .rebootSoft, .rebootHard: "reboot"
        case .pause: "pause"
        case .unpause: "unpause"
        case .suspend: "suspend"
        case .resume: "resume"
        }
    }
}

/// The last `lines` lines of a text; all of it when nil. After a final newline comes one more, empty, line, as upstream
/// counts them.
package func lastLines(_ lines: Int?, of text: [UInt8]) -> [UInt8] {
    guard let lines else { return text }
    guard lines > 0 else { return [] }
    let newline = UInt8(ascii: "\n")
    var at = text.count
    var left = lines
    while at > 0 {
        if text[at - 1] == newline {
            left -= 1
            if left == 0 { break }
        }
        at -= 1
    }
    return Array(text[at...])
}
