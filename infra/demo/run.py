"""The main job on a synthetic consortium: raw files to published results, every real part running.

    synthesize ─▶ Airflow, one DAG run per centre ─▶ releases ─▶ gateway and nodes ─▶ three queries

What was started is stopped at the end, after an error and after Ctrl-C, unless it is to be kept.
"""

import dataclasses
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import infra.consortium
from federated.client import Client
from federated.request import Request, load_request
from infra.answers import write
from infra.demo.synthesize import synthesize
from infra.environments import ROOT, python
from infra.progress import Progress, Step
from infra.site.airflow import AirflowStack
from infra.site.client import RunProgress
from transforms.errors import ConsortiumError, SetupError, raise_all
from transforms.site import load_site, site_folders


__all__ = ["Demo", "connection", "run_demo", "stop_demo"]

REQUESTS = Path(__file__).parent / "requests"
GATHER_SECONDS = 60.0


@dataclass(frozen=True)
class Demo:
    """Where the demo's files are, and what to call them."""

    folder: Path

    @property
    def sites(self) -> Path:
        """The centres' folders: MARMOR_HOME of the demo."""
        return self.folder / "sites"

    @property
    def airflow(self) -> Path:
        """Airflow's own folder."""
        return self.folder / "airflow"

    @property
    def consortium(self) -> Path:
        """The operator's folder."""
        return self.folder / "consortium"

    @property
    def results(self) -> Path:
        """What the analyst publishes."""
        return self.folder / "results"

    @property
    def site_folders(self) -> tuple[Path, ...]:
        """The folder of each centre."""
        return site_folders(self.sites)

    @property
    def reports(self) -> tuple[Path, ...]:
        """The latest validation report of each centre."""
        pages = (
            sorted(folder.glob("reports/*/report.html"), key=lambda page: page.stat().st_mtime)
            for folder in self.site_folders
        )
        return tuple(found[-1] for found in pages if found)


def run_demo(
    demo: Demo,
    progress: Progress,
    *,
    sites: int,
    patients: int,
    seed: int,
    keep: bool = False,
    prepared: bool = False,
) -> AirflowStack:
    """Run the main job in `demo.folder`; return the Airflow stack, which runs only if kept.

    `prepared` takes the centres that stand in the folder already. Raises a UserError when a part
    fails or another run is at work in the folder; by then everything that was started here has
    been stopped.
    """
    _check_ours(demo, prepared=prepared)
    demo.folder.mkdir(parents=True, exist_ok=True)
    with _stoppable(), _alone(demo), ExitStack() as running:
        if not prepared:
            _synthesize(demo, progress, sites, patients, seed)
        stack = AirflowStack(demo.airflow, demo.sites)
        _start_airflow(stack, progress, running)
        _run_centres(stack, demo, progress)
        if not keep:
            # Two cores are few: what has done its work makes room for what comes.
            stack.stop()
        _start_federation(demo, progress, running, keep=keep)
        _ask(demo, progress)
        if keep:
            stack.detach()
            running.pop_all()
    return stack


def stop_demo(demo: Demo) -> bool:
    """Stop whatever a kept demo left running; return whether anything ran.

    Raises SetupError while a run is at work in the folder.
    """
    if not demo.folder.is_dir():
        return False
    with _alone(demo):
        return _stop(demo)


def _stop(demo: Demo) -> bool:
    """Stop Airflow, the nodes and the gateway; return whether any of them ran."""
    stopped = [AirflowStack(demo.airflow, demo.sites).stop()]
    stopped += [infra.consortium.stop_node(folder) for folder in demo.site_folders]
    if (demo.consortium / "consortium.toml").exists():
        stopped.append(infra.consortium.stop(demo.consortium))
    return any(stopped)


def _check_ours(demo: Demo, *, prepared: bool) -> None:
    """Refuse to touch a folder that this command did not make."""
    made = (demo.folder / ".marmor-demo").exists()
    empty = demo.folder.is_dir() and not any(demo.folder.iterdir())
    if demo.folder.exists() and not (made or empty or (prepared and demo.sites.is_dir())):
        raise SetupError(f"{demo.folder}: is not a demo's folder; give another --folder")
    if prepared and not demo.site_folders:
        raise SetupError(f"{demo.sites}: no centre there; make them without --prepared")


@contextmanager
def _alone(demo: Demo) -> Iterator[None]:
    """Hold the demo's folder for this process; the kernel lets go of it however it ends."""
    handle = os.open(demo.folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SetupError(
                f"{demo.folder}: a demo is at work there; wait for its end, press Ctrl-C where it "
                "runs, or give another --folder"
            ) from None
        yield
    finally:
        os.close(handle)


@contextmanager
def _stoppable() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C, and Ctrl-C also where the shell that started us ignores it."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGTERM, signal.SIGINT)
    previous = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _synthesize(demo: Demo, progress: Progress, sites: int, patients: int, seed: int) -> None:
    """Make the centres anew, after stopping and deleting what an earlier run has left."""
    with progress.run(progress.add(f"Synthesize {sites} centres")) as step:
        _stop(demo)
        (demo.folder / ".marmor-demo").touch()
        for part in (demo.sites, demo.airflow, demo.consortium, demo.results):
            if part.exists():
                shutil.rmtree(part)
        synthesize(sites=sites, patients=patients, seed=seed, out=demo.sites)
        step.at(f"{patients} patients each, seed {seed}")


def _start_airflow(stack: AirflowStack, progress: Progress, running: ExitStack) -> None:
    """Start Airflow and wait until every centre's DAG is there."""
    with progress.run(progress.add("Start Airflow")) as step:
        running.callback(stack.stop)
        stack.start()
        stack.wait_ready(on_progress=lambda health: step.at(_health(health)))
        step.at(stack.url)


def _health(components: dict[str, str]) -> str:
    """Say which components are not healthy yet."""
    waiting = [name for name, state in components.items() if state != "healthy"]
    return f"waits for {', '.join(waiting)}" if waiting else "reads the DAGs"


def _run_centres(stack: AirflowStack, demo: Demo, progress: Progress) -> None:
    """Run each centre's DAG to a published release."""
    with progress.run(progress.add("Run the centres' DAGs")):
        ids = [load_site(folder).id for folder in demo.site_folders]
        steps = {site: progress.add(site, indent=1) for site in ids}
        runs = [stack.trigger(site) for site in ids]
        for step in steps.values():
            step.begin()
        outcomes = stack.wait(runs, lambda states: _show(states, steps, progress))
    raise_all(SetupError, [_problem(stack, demo, outcome) for outcome in outcomes if _bad(outcome)])


def _bad(outcome: RunProgress) -> bool:
    """Whether a run did not end with a release."""
    return outcome.state != "success"


def _problem(stack: AirflowStack, demo: Demo, outcome: RunProgress) -> str:
    """Say why a centre's run did not end with a release, and where to look."""
    site = outcome.run.site
    if outcome.waits_for_review:
        return f"{site}: its run waits for review; see the report under {demo.sites / site}/reports"
    said = stack.client.complaint(outcome) or f"see the logs under {stack.home}/logs"
    return f"{site}: failed at {outcome.stage}: {said}"


def _show(states: Sequence[RunProgress], steps: dict[str, Step], progress: Progress) -> None:
    """Show at which stage each centre is, and what each stage took."""
    for state in states:
        step = steps[state.run.site]
        if state.finished and step.seconds is None:
            step.at(*_stages(state.seconds))
            progress.finish(step, "done" if state.state == "success" else "failed")
        elif not state.finished:
            step.at(state.stage or "")


def _stages(seconds: Mapping[str, float]) -> tuple[str, str]:
    """Say what each stage took; and, shorter, the two longest and all others together."""
    longest = sorted(seconds, key=lambda name: seconds[name])[-2:]
    rest = sum(took for name, took in seconds.items() if name not in longest)
    told = {name: f"{name} {took:.1f}" for name, took in seconds.items()}
    short = [*(told[name] for name in told if name in longest), f"others {rest:.1f}"]
    return " · ".join(told.values()), " · ".join(short)


def _start_federation(demo: Demo, progress: Progress, running: ExitStack, *, keep: bool) -> None:
    """Make certificates and keys, start the gateway and a node per centre, wait for all."""
    with progress.run(progress.add("Start the federation")) as step:
        if not (demo.consortium / "consortium.toml").exists():
            infra.consortium.init(demo.consortium, port=_free_port())
        infra.consortium.enroll(demo.consortium, demo.site_folders)
        running.callback(infra.consortium.stop, demo.consortium)
        step.at("gateway")
        infra.consortium.start(demo.consortium, tied=not keep)
        for folder in demo.site_folders:
            running.callback(infra.consortium.stop_node, folder)
            infra.consortium.start_node(folder, tied=not keep)
        _gather(demo, step)


def _gather(demo: Demo, step: Step) -> None:
    """Wait until every node is connected."""
    deadline = time.monotonic() + GATHER_SECONDS
    while time.monotonic() < deadline:
        states = infra.consortium.status(demo.consortium).sites
        online = sum(state == "online" for state in states.values())
        step.at(f"{online} of {len(states)} nodes online")
        if online == len(states):
            return
        time.sleep(0.3)
    raise ConsortiumError(
        f"not every node came online; see {demo.consortium} and sites/*/work/node.log"
    )


def _ask(demo: Demo, progress: Progress) -> None:
    """Ask the questions as an analyst would, and write results and pictures."""
    settings = connection(demo)
    token = Path(settings["MARMOR_TOKEN"]).read_text(encoding="utf-8")
    with (
        progress.run(progress.add("Ask the questions")),
        Client(settings["MARMOR_GATEWAY"], token, ca=settings["MARMOR_CA"]) as client,
    ):
        for request in sorted(REQUESTS.glob("*.toml")):
            with progress.run(progress.add(request.stem, indent=1)) as step:
                result = client.run(_question(request, demo))
                write(result, demo.results, request.stem)
                step.at(f"{len(result.provenance['releases'])} centres answered")
    with progress.run(progress.add("Draw the pictures")):
        _draw(demo)


def _question(path: Path, demo: Demo) -> Request:
    """Read one of the demo's questions; a smaller demo answers with the centres that it has."""
    request = load_request(path)
    sites = min(request.minimum_sites, len(demo.site_folders))
    return dataclasses.replace(request, minimum_sites=sites)


def _draw(demo: Demo) -> None:
    """Draw every result; plotting belongs to the federation environment."""
    results = [str(path) for path in sorted(demo.results.glob("*.json"))]
    done = subprocess.run(
        [str(python("federation")), "-m", "infra.cli", "query", "plot", *results],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SetupError(f"the pictures could not be drawn: {done.stderr.strip()}")


def connection(demo: Demo) -> dict[str, str]:
    """Return the variables that an analyst of the demo sets."""
    return {
        "MARMOR_GATEWAY": infra.consortium.status(demo.consortium).url,
        "MARMOR_TOKEN": str(demo.consortium / "tokens" / "analyst.token"),
        "MARMOR_CA": str(demo.consortium / "certificates" / "ca.pem"),
    }


def _free_port() -> int:
    """Return a loopback port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
