"""What a broker must do: every case a named promise, kept by Apache Kafka and by ours.

Where the two differ Apache Kafka is right. Python's clients ask; where they would hide the answer,
the request goes over a plain socket (`wire.py`).
"""
