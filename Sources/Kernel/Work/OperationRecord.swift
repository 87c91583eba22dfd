// SPDX-License-Identifier: Apache-2.0
package import Base
package import SQL

/// An operation as it is stored: where it is, who runs it, and under which fencing number.
package struct OperationRecord: Record {
    package static let table = "work_operations"

    package enum State: String, Codable, Sendable { case queued, running, undoing, parked, done, failed, cancelled }

    package var id: String
    /// Grows with every operation of the process; orders those of one subject.
    package var position: Int64
    package var kind: String
    package var subject: String
    package var payload: String
    package var state: State
    /// The step being done or undone; it was recorded before it began.
    package var step: Int
    package var stepName: String
    /// The step that is undone next, while it is undone; `stepName` stays the one that failed.
    package var undoing: String
    package var attempt: Int
    package var progress: Double
    package var note: String
    package var fault: String
    package var faultStatus: Int
    /// The fault's machine name; `Fault.cancelled` has one.
    package var faultCode: String
    package var cancelRequested: Bool
    package var owner: String
    /// Grows with every claim: a former owner that wakes up late writes nothing.
    package var fence: Int64
    package var leaseUntil: Timestamp
    package var deadline: Timestamp
    /// Since when the step that it is in waits for others; zero when it does not.
    package var waitingSince: Timestamp
    package var requestID: String
    package var createdAt: Timestamp
    package var updatedAt: Timestamp

    /// Which ones are neither done nor failed, as a condition.
    package static let unfinished: SQL = "state IN ('queued', 'running', 'undoing', 'parked')"

    package var isOver: Bool { state == .done || state == .failed || state == .cancelled }

    package static let migrations: [Migration] = [
        """
        2026-11-21 work operations
        CREATE TABLE work_operations (
            id VARCHAR(36) NOT NULL PRIMARY KEY, position BIGINT NOT NULL, kind VARCHAR(64) NOT NULL,
            subject VARCHAR(64) NOT NULL, payload TEXT NOT NULL, state VARCHAR(16) NOT NULL, step INTEGER NOT NULL,
            step_name VARCHAR(64) NOT NULL, attempt INTEGER NOT NULL, progress DOUBLE PRECISION NOT NULL,
            note TEXT NOT NULL, fault TEXT NOT NULL, fault_status INTEGER NOT NULL, cancel_requested INTEGER NOT NULL,
            owner VARCHAR(64) NOT NULL, fence BIGINT NOT NULL, lease_until BIGINT NOT NULL, deadline BIGINT NOT NULL,
            request_id VARCHAR(64) NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL);
        CREATE INDEX work_operations_state ON work_operations (state, position);
        CREATE INDEX work_operations_subject ON work_operations (subject, position);
        CREATE TABLE work_events (
            operation_id VARCHAR(36) NOT NULL, subject VARCHAR(64) NOT NULL, at BIGINT NOT NULL,
            kind VARCHAR(64) NOT NULL, step VARCHAR(64) NOT NULL, what VARCHAR(16) NOT NULL, message TEXT NOT NULL,
            request_id VARCHAR(64) NOT NULL);
        CREATE INDEX work_events_subject ON work_events (subject, at);
        """, ParkedOperation.migration, ParkedOperation.withoutSubject,
        """
        2026-11-30 work operations say what is undone next
        ALTER TABLE work_operations ADD COLUMN undoing VARCHAR(64) NOT NULL DEFAULT ''
        """,
        // A program of before told by the words what was cancelled: what it left half undone is known by them, once.
        """
        2026-11-30 work operations keep the code of their fault
        ALTER TABLE work_operations ADD COLUMN fault_code VARCHAR(255) NOT NULL DEFAULT '';
        UPDATE work_operations SET fault_code = 'OperationCancelled'
            WHERE cancel_requested = 1 AND fault_status = 409 AND fault LIKE 'The operation was cancelled %'
        """,
    ]
}

/// One line of a subject's timeline.
package struct OperationEvent: Record {
    package static let table = "work_events"

    package var operationID: String
    package var subject: String
    package var at: Timestamp
    package var kind: String
    package var step: String
    /// `asked`, `began`, `failed`, `retried`, `undone`, `done`, `cancelled`.
    package var what: String
    package var message: String
    package var requestID: String
}
