// SPDX-License-Identifier: Apache-2.0

/// What one client may take of the server. Every wait on the network has an end here.
package struct HTTPLimits: Sendable {
    /// Request line, headers and their bookkeeping; beyond it 431 (or 414). Resident for each connection.
    package var headerBytes = 16 * 1024
    /// Beside `headerBytes`, for the answer's own headers: libmicrohttpd keeps both in one place, and hangs up without
    /// a word when the request has left no room for an answer.
    package var answerBytes = 4 * 1024
    /// From the first to the last byte of a request's headers, and the TLS handshake.
    package var headerTimeout: Duration = .seconds(10)
    /// How long a body may stand still while the handler waits for it.
    package var bodyIdleTimeout: Duration = .seconds(60)
    /// Bytes per second that a body must bring while the handler waits for it, over `bodyRateWindow`.
    package var bodyMinimumRate = 1024
    package var bodyRateWindow: Duration = .seconds(30)
    /// How long a connection may stay open between requests.
    package var keepAlive: Duration = .seconds(75)
    /// How much of a body nobody reads is taken off the wire so that the connection can live on.
    package var bodyDiscard = 64 * 1024
    package var connections = 20_000
    /// How long requests that run may take to end once the server is told to stop.
    package var drain: Duration = .seconds(10)

    package init() {}
}
