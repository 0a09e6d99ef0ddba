"""What every measurement uses: the cluster, the model, the children, a way to start a contender."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.cases import Case
from tests.bench.cluster import Cluster, RunTopics
from tests.bench.contenders.arguments import Arguments
from tests.bench.processes import Child, Children, Cores, RunFailed
from tests.bench.roster import CONTENDERS, RunContext


@dataclass(frozen=True, slots=True)
class Workplace:
    """Built once; `directory` is thrown away at the end, unless something failed."""

    directory: Path
    store: Path
    model_dir: Path
    cores: Cores
    children: Children
    cluster: Cluster

    @contextmanager
    def topics(self) -> Iterator[RunTopics]:
        """Fresh topics for one run, deleted after it."""
        topics = self.cluster.fresh_topics()
        try:
            yield topics
        finally:
            self.cluster.drop(topics)

    @contextmanager
    def contender(self, case: Case, topics: RunTopics) -> Iterator[Child]:
        """The contender of a case, running on the worker's core; ended with the body."""
        work_dir = self.directory / f"{topics.prefix}{case.contender}"
        work_dir.mkdir()
        arguments = Arguments(
            bootstrap=self.cluster.bootstrap,
            input_topic=topics.names.features,
            output_topic=topics.names.predictions,
            scored_topic=topics.names.scored_batches if case.frames else "",
            group=f"{topics.prefix}{case.contender}",
            format=case.wire_format,
            model_dir=self.model_dir,
            work_dir=work_dir,
        )
        try:
            launch = CONTENDERS[case.contender].launch(
                arguments, RunContext(self.store, topics.prefix)
            )
        except RuntimeError as error:
            raise RunFailed(str(error)) from error
        child = self.children.start(
            case.contender, launch.command, self.cores.worker, launch.environment
        )
        try:
            yield child
        finally:
            self.children.stop(child)
