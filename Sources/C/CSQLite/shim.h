// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sqlite3.h>

/// Called before anything else of SQLite: it then counts no memory in use, which takes a lock of the whole process for
/// every allocation. `sqlite3_config` has a variable number of arguments, which Swift does not import.
static inline int csqlite_count_no_memory(void) { return sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); }
