// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import SQL

/// What an operation that holds no worker waits for. It is a row, so that the waiting outlives the process; it is there
/// only as long as the operation is parked.
struct ParkedOperation: Record {
    static let table = "work_parked"
    /// Of those that wait for one of the places for what takes long: nobody tells of that.
    static let place = "place"
    /// As late as a row can say.
    static let late = Timestamp(microseconds: .max)

    let operationID: String
    let kind: String
    let position: Int64
    /// What wakes it.
    let topic: String
    /// When it is woken at the latest.
    let wakeAt: Timestamp
    /// What it goes on with: it runs or is undone.
    let resumes: OperationRecord.State

    static let migration: Migration = """
        2026-11-30 work operations that are parked
        ALTER TABLE work_operations ADD COLUMN waiting_since BIGINT NOT NULL DEFAULT 0;
        CREATE TABLE work_parked (
            operation_id VARCHAR(36) NOT NULL PRIMARY KEY, subject VARCHAR(64) NOT NULL, kind VARCHAR(64) NOT NULL,
            position BIGINT NOT NULL, topic VARCHAR(128) NOT NULL, wake_at BIGINT NOT NULL,
            resumes VARCHAR(16) NOT NULL);
        CREATE INDEX work_parked_wake ON work_parked (wake_at);
        CREATE INDEX work_parked_topic ON work_parked (topic, position);
        """

    /// The table is younger than any release: no program of before writes that column.
    static let withoutSubject: Migration = """
        2026-11-30 work operations that are parked are known by their id
        ALTER TABLE work_parked DROP COLUMN subject
        """
}
