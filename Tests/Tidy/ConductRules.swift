// SPDX-License-Identifier: Apache-2.0

/// Rules on what code does: the outside world, tasks, sharing, stopping.
enum ConductRules {
    static let outside: [(call: String, advice: String)] = [
        ("Date()", "take the time from the `clock` that was passed in"),
        ("Date.now", "take the time from the `clock` that was passed in"),
        ("UUID()", "take ids from the `ids` that were passed in (Identifiers.uuid())"),
        (".random(in:", "take chance from the `Identifiers` that were passed in"),
        (".random()", "take chance from the `Identifiers` that were passed in"),
        (".randomElement(", "take chance from the `Identifiers` that were passed in"),
        (".shuffled(", "take chance from the `Identifiers` that were passed in"),
        (".shuffle(", "take chance from the `Identifiers` that were passed in"),
        ("SystemRandomNumberGenerator", "take chance from the `Identifiers` that were passed in"),
        ("getenv(", "the environment is read once, by Configuration; pass the option on"),
        ("ContinuousClock", "use the `clock` that was passed in, or Stopwatch to measure"),
        ("SuspendingClock", "use the `clock` that was passed in, or Stopwatch to measure"),
        ("gettimeofday(", "take the time from the `clock` that was passed in"),
    ]

    /// Time, chance, ids and the environment are passed in, so that a cloud can be simulated.
    static func outsideWorld(_ source: SourceText) -> [Finding] {
        guard !source.path.hasPrefix("Sources/Kernel/Base/"), Allowed.outsideWorld[source.path] == nil else {
            return []
        }
        // A generator that was passed in is what we ask for: `.random(in: 0...9, using: &generator)`.
        return outside.flatMap { call, advice in
            source.places(of: call).filter { !isGiven(source, $0) }.map {
                Finding(source, source.line(at: $0), "'\(call)' outside Kernel/Base: \(advice).")
            }
        } + sleeping(source)
    }

    private static func isGiven(_ source: SourceText, _ place: Int) -> Bool {
        source.code(line: source.line(at: place)).contains("using:")
    }

    /// Tests wait for what they wait for; sources sleep on the clock they were given.
    private static func sleeping(_ source: SourceText) -> [Finding] {
        guard source.path.hasPrefix("Sources/") else { return [] }
        return source.places(of: "Task.sleep(").map {
            Finding(
                source, source.line(at: $0),
                "'Task.sleep' outside Kernel/Base: use `clock.sleep`, which a simulation moves.")
        }
    }

    /// Structured tasks only: others leave the simulation and outlive who started them.
    static func freeTasks(_ source: SourceText) -> [Finding] {
        guard source.path.hasPrefix("Sources/"), Allowed.freeTasks[source.path] == nil else { return [] }
        return ["Task {", "Task(", "Task.detached", "Task.immediate"].flatMap { start in
            source.places(of: start).map {
                Finding(
                    source, source.line(at: $0),
                    "'\(start)' starts a task that nobody waits for: use a task group or `async let` in a run(), or "
                        + "record an Operation.")
            }
        }
    }

    private static let assurances = [
        "unchecked", "safe", "guard", "lock", "thread", "owned", "only", "held", "immutable", "never change",
        "one at a time",
    ]

    /// Who switches the compiler's check off says who guarantees what it would have checked.
    static func sharing(_ source: SourceText) -> [Finding] {
        ["@unchecked Sendable", "nonisolated(unsafe)"].flatMap { mark in
            source.places(of: mark).map { source.line(at: $0) }.filter { line in
                !(max(1, line - 4)...min(source.lineCount, line + 2)).contains { near in
                    let text = source.text(line: near).lowercased()
                    return text.contains("//") && assurances.contains { text.contains($0) }
                }
            }.map {
                Finding(
                    source, $0,
                    "'\(mark)' without a comment that says who guarantees it. Write above it what makes it safe "
                        + "('guarded by `lock`', 'used on its own thread only'), or do without.")
            }
        }
    }

    /// A room never stops the process.
    static func stopping(_ source: SourceText) -> [Finding] {
        guard source.path.hasPrefix("Sources/Services/") else { return [] }
        let stops = ["fatalError(", "preconditionFailure(", "precondition(", "exit(", "abort(", "try!"]
        return stops.flatMap { stop in
            source.places(of: stop).filter { $0 == 0 || source.code[$0 - 1] != UInt8(ascii: ".") }.map {
                Finding(
                    source, source.line(at: $0),
                    "'\(stop)' in a room: throw a Fault; only the kernel may stop the process.")
            }
        }
    }
}
