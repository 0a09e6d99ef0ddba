"""Wire formats of feature events, chosen by the `content-type` header; JSON is the default.

Each codec module has `CONTENT_TYPE` and an `Encoder` with
`encode(event_id, event_time_ms, row) -> bytes`. Decoding whole batches into a matrix is
`inference.decode`.
"""

CONTENT_TYPE_HEADER = "content-type"
