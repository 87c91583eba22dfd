// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What an operator asks of users' passwords and habits: keystone.conf's `[security_compliance]`.
package struct SecurityCompliance: Sendable {
    /// Nil never locks anybody out.
    package var lockoutAttempts: Int?
    package var lockoutDuration = Duration.seconds(1800)
    /// Nil keeps users for ever, however long they stay away.
    package var inactiveDaysMax: Int?
    /// Nil lets passwords live for ever.
    package var passwordDays: Int?
    /// How many passwords in a row must differ, the new one included; 0 does not look.
    package var uniquePasswords = 0
    package var passwordDaysMin = 0
    package var passwordRegex: String?
    package var passwordRegexDescription: String?
    package var changesFirstPassword = false

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        read.section("security_compliance")
        lockoutAttempts = SecurityCompliance.positive(
            &read, "lockout_failure_attempts", "Wrong passwords in a row that lock a user out; unset never does.")
        lockoutDuration = read.duration(
            "lockout_duration", default: lockoutDuration, atLeast: .seconds(1), help: "For how long.")
        inactiveDaysMax = SecurityCompliance.positive(
            &read, "disable_user_account_days_inactive",
            "Days without a login after which a user counts as disabled; unset never does.")
        passwordDays = SecurityCompliance.positive(
            &read, "password_expires_days",
            "Days that a new password is good for; unset is for ever. Passwords that are set already stay as they are.")
        uniquePasswords = read.int(
            "unique_last_password_count", default: uniquePasswords, in: 0...1000,
            help: "How many of a user's last passwords a new one must differ from; 0 does not look.")
        passwordDaysMin = read.int(
            "minimum_password_age", default: passwordDaysMin, in: 0...100_000,
            help: "Days that users must keep a password before they may change it again.")
        passwordRegex = read.text(
            "password_regex", "regular expression",
            help: "What every new password must match from its beginning, such as ^(?=.*\\d)(?=.*[a-zA-Z]).{7,}$ .",
            { (try? Regex($0)) == nil ? nil : $0 })
        passwordRegexDescription = read.string(
            "password_regex_description", help: "The same in words, for those whose password did not match.")
        changesFirstPassword = read.bool(
            "change_password_upon_first_use", default: changesFirstPassword,
            help: "Whether a password that an administrator set must be changed before it is good for a token.")
        if let days = passwordDays, passwordDaysMin >= days {
            read.refuse("minimum_password_age must be less than password_expires_days, or nobody can change in time.")
        }
    }

    private static func positive(_ read: inout OptionReader, _ name: String, _ help: String) -> Int? {
        // 0 is what "off" was spelled as here before; upstream leaves the option out.
        let number: Int? = read.text(name, "whole number of 0 or more", help: help) {
            Int($0).flatMap { $0 < 0 ? nil : $0 }
        }
        return number == 0 ? nil : number
    }
}
