"""The protocol tables: one `Api` for each request type, with the versions spoken here.

Held against Apache Kafka's own message definitions by tests/contract/broker/test_messages.py.
"""

from deploy.local.broker.protocol.messages import admin, data, groups, transactions
from deploy.local.broker.protocol.wire import Api

APIS: dict[int, Api] = {
    api.key: api
    for module in (data, groups, transactions, admin)
    for api in vars(module).values()
    if isinstance(api, Api)
}
