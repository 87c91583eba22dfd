// SPDX-License-Identifier: Apache-2.0
import Kernel

extension Body {
    /// A member of something new with a rule of its own, which nobody is asked about for spelling out the usual value.
    mutating func take<Value: Equatable & Sendable>(
        _ name: String, _ format: Format<Value>, usually usual: Value, rule: String, on target: some PolicyTarget
    ) throws(Fault) -> Value {
        var aside = self
        guard try aside.take(name, format) ?? usual == usual else {
            return try take(name, format, rule: rule, on: target) ?? usual
        }
        self = aside
        return usual
    }
}
