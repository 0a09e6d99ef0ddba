"""What the broker does for each request; each module has `HANDLERS`, the API keys it answers.

A handler returns the response's body (see requests.Reply); RefusedError is for the parts it
concerns, and handlers put its code there.
"""
