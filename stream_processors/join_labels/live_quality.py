"""Live quality: measured, judged and told once an interval, by one worker of the group."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

import msgspec
import structlog
from faust.types import TP

from schemas.drift_events import DriftAlert, encode_event
from schemas.errors import DeliveryError, TransientError
from schemas.settings import LogSettings
from storage.client import Client
from storage.drift_tables import DriftLog
from stream_processors import metrics
from stream_processors.block_writer import retry_for_ever
from stream_processors.join_labels.judge import Judge, Judgement
from stream_processors.join_labels.measurer import Measurer, Progress, decode_progress
from stream_processors.membership import Membership
from stream_processors.outbox import Messages
from stream_processors.state_topic import StateTopic

log = structlog.get_logger()

LOOK_S = 0.2
"""How often it is asked whether the partition is ours and it is time."""
BY_KEY = -1
"""As partition: librdkafka chooses by the key, so all alerts of a pipeline are in one, in order."""
PROGRESS = ""
"""Under this name how far was measured is kept; model versions are kept under theirs."""


class Publisher(Protocol):
    """The part of an Outbox that is used here."""

    def publish(self, partition: int, outputs: list[Messages]) -> "asyncio.Future[None]": ...


class LiveQuality:
    """Works while partition 0 of the labels is ours; two at once do each other no harm.

    1. windows that new predictions or labels touched are measured and logged;
    2. mature ones are judged; the state afterwards, with the alerts in it, is published;
    3. then the alerts are published and logged;
    4. how far was measured is published.

    A crash before 2 measures and judges again; one after it tells the alerts of the state again,
    under the same ids. While ClickHouse is gone, rounds fail and are made again.
    """

    def __init__(
        self,
        *,
        pipeline: str,
        interval_s: float,
        retries: LogSettings,
        connect: Callable[[], Client],
        measurer: Measurer,
        new_judge: Callable[[dict[str, bytes]], Judge],
        state: StateTopic,
        alerts_topic: str,
        labels: TP,
        membership: Membership,
        outbox: Publisher,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._key = pipeline.encode()
        self._interval_s = interval_s
        self._retries = retries
        self._connect = connect
        self._measurer = measurer
        self._new_judge = new_judge
        self._state = state
        self._alerts_topic = alerts_topic
        self._labels = labels
        self._membership = membership
        self._outbox = outbox
        self._clock = clock
        self._client: Client | None = None
        self._judge: Judge | None = None
        self._generation = -1
        self._progress = Progress()

    async def run(self, stopping: Callable[[], bool]) -> None:
        """Round after round until `stopping`. What no other round can cure is raised."""
        due = self._clock()
        while not stopping():
            await asyncio.sleep(LOOK_S)
            if self._clock() < due or not self._ours():
                continue
            try:
                await self.round()
            except DeliveryError:
                raise  # the outbox is broken for good
            except TransientError as error:
                log.warning("quality_round_failed", error=str(error)[:500])
                metrics.QUALITY_FAILURES.inc()
                self._judge = None  # it may have judged what was not published
            due = self._clock() + self._interval_s

    async def round(self) -> None:
        """Measure, judge and tell once."""
        started = self._clock()
        client = await asyncio.to_thread(self._connected)
        judge = await self._resumed()
        self._progress = await asyncio.to_thread(self._measurer.measure, client, self._progress)
        n_judged = 0
        while found := await asyncio.to_thread(judge.judge, client, self._progress.reached_ms):
            n_judged += len(found)
            await self._tell(found)
        progress = msgspec.json.encode(self._progress)
        await self._outbox.publish(BY_KEY, [self._state.messages({PROGRESS: progress})])
        metrics.QUALITY_MEASURED_AT.set_to_current_time()
        took_ms = round((self._clock() - started) * 1000)
        log.debug("quality_measured", n_judged=n_judged, took_ms=took_ms)

    def _ours(self) -> bool:
        return self._membership.owns(self._labels) and not self._membership.draining()

    def _connected(self) -> Client:
        if self._client is None:
            self._client = self._connect()
        return self._client

    async def _resumed(self) -> Judge:
        """The judge; after an assignment, and after a failure, one that goes on from what was
        published, and tells again what that says was told last."""
        generation = self._membership.generation()
        if self._judge is not None and generation == self._generation:
            return self._judge
        states = await asyncio.to_thread(self._state.read)
        progress = states.pop(PROGRESS, None)
        if progress is not None:
            self._progress = decode_progress(progress)
        judge = await asyncio.to_thread(self._new_judge, states)
        await self._publish_alerts(judge.told)
        self._judge, self._generation = judge, generation
        return judge

    async def _tell(self, judgements: list[Judgement]) -> None:
        for each in judgements:  # a message of its own each: they are in different partitions
            messages = self._state.messages({each.version: each.state})
            await self._outbox.publish(BY_KEY, [messages])
        alerts = [alert for each in judgements for alert in each.alerts]
        await self._publish_alerts(alerts)
        for alert in alerts:
            metrics.DRIFT_ALERTS.labels(alert.state, alert.level).inc()
            log.info(
                "quality_alert",
                alert_id=alert.alert_id,
                model_version=alert.model_version,
                state=str(alert.state),
                level=str(alert.level),
                sentence=alert.sentence,
            )

    async def _publish_alerts(self, alerts: list[DriftAlert]) -> None:
        if not alerts:
            return
        values = [encode_event(alert) for alert in alerts]
        messages = Messages(self._alerts_topic, [self._key] * len(values), values)
        await self._outbox.publish(BY_KEY, [messages])
        await retry_for_ever(
            lambda: DriftLog(self._connected()).insert_alerts(alerts),
            event="quality_alerts_not_logged",
            max_ms=self._retries.retry_max_ms,
        )
