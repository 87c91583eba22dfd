// SPDX-License-Identifier: Apache-2.0
package import Base

/// What a step that waits has found.
package enum Wait: Sendable {
    case over
    /// Not yet; it looks again after so long if nobody says anything.
    case on(Duration)
}

/// How long a step has been waiting when it looks.
package struct Patience: Sendable {
    /// Zero at its first look.
    package let waited: Duration
    /// Whether it looked before.
    package let isFirst: Bool

    package init(waited: Duration = .zero, isFirst: Bool = true) {
        self.waited = waited
        self.isFirst = isFirst
    }

    /// The time until the next look where word comes as a rule: seldom, and less and less so; never beyond a limit.
    package func next(within limit: Duration? = nil, _ range: ClosedRange<Duration> = .seconds(1)...(.seconds(30)))
        -> Wait
    {
        var pause = min(max(waited, range.lowerBound), range.upperBound)
        if let limit { pause = min(pause, max(limit - waited, .milliseconds(1))) }
        return .on(pause)
    }

    /// What a look says that could not ask: who is away may be back before the time is over.
    package func outlast(_ fault: Fault, within limit: Duration) throws(Fault) -> Wait {
        guard fault.status == 503 || fault.status == 504, waited < limit else { throw fault }
        return next(within: limit)
    }
}
