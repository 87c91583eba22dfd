// SPDX-License-Identifier: Apache-2.0
// One import for rooms and drivers. `@_exported` is underscored (should it go, rooms name the modules they use), and it
// demands `public`, though nothing in these modules is public: `package` is what crosses.
@_exported public import API
@_exported public import Access
@_exported public import Base
@_exported public import Config
@_exported public import HTTP
@_exported public import JSON
@_exported public import Observability
@_exported public import SQL
@_exported public import Work
