"""How much memory the process uses, and how much it may use."""

import gc
import json
import os
from dataclasses import asdict
from types import SimpleNamespace

import psutil
import pytest

from leakguard.exceptions import WalkError
from leakguard.process import level
from leakguard.process.level import (
    container_limit,
    read_level,
    read_resources,
    require_headroom,
)

MIB = 1 << 20


class Machine:
    """A made-up root directory, and the memory of a made-up process and machine."""

    def __init__(self, root):
        self.root = root
        self.rss = 100 * MIB
        self.shared = 20 * MIB
        self.available = 10_000 * MIB

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(text))

    def group(self, path, **files):
        for name, text in files.items():
            self.write(f"sys/fs/cgroup/{path}/{name.replace('__', '.')}", text)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Return a machine with 10 GB left and a process of 80 MiB private memory."""
    machine = Machine(tmp_path)
    memory = lambda: SimpleNamespace(rss=machine.rss, shared=machine.shared)  # noqa: E731
    monkeypatch.setattr(psutil, "Process", lambda: SimpleNamespace(memory_info=memory))
    monkeypatch.setattr(
        psutil, "virtual_memory", lambda: SimpleNamespace(available=machine.available)
    )
    return machine


def refusal(machine):
    """Return the error of a walk that is refused."""
    with pytest.raises(WalkError) as caught:
        require_headroom(root=machine.root)
    assert caught.value.reason == "headroom"
    return str(caught.value)


def test_machine_without_groups_is_asked_itself(machine):
    """
    Private memory and some to spare must be left on the machine.
    """
    machine.available = 112 * MIB
    enough = require_headroom(root=machine.root)
    machine.available -= 1

    assert enough is None
    assert "needs 112 MiB" in refusal(machine)


def test_platform_without_shared_memory_counts_all(machine, monkeypatch):
    """
    Where shared memory is not known all of it might be copied.
    """
    monkeypatch.setattr(
        psutil,
        "Process",
        lambda: SimpleNamespace(memory_info=lambda: SimpleNamespace(rss=100 * MIB)),
    )
    machine.available = 131 * MIB

    assert "needs 132 MiB" in refusal(machine)


def test_limit_of_the_container_counts(machine):
    """
    What the container has left is less than the machine has.
    """
    machine.write("proc/self/cgroup", "0::/\n")
    machine.group("", memory__max=200 * MIB, memory__current=150 * MIB)

    assert "50 MiB" in refusal(machine)


def test_file_cache_is_not_in_use(machine):
    """
    The kernel gives up inactive file cache before it ends anybody.
    """
    machine.write("proc/self/cgroup", "0::/\n")
    machine.group(
        "",
        memory__max=200 * MIB,
        memory__current=150 * MIB,
        memory__stat=f"anon 5\ninactive_file {62 * MIB}\nactive_file 7\n",
    )

    assert require_headroom(root=machine.root) is None


@pytest.mark.parametrize(
    "tight", ["", "kube", "kube/pod", "kube/pod/app"], ids=["top", "outer", "pod", "own"]
)
def test_tightest_of_nested_groups_counts(machine, tight):
    """
    A limit on any level above the process holds.
    """
    machine.write("proc/self/cgroup", "0::/kube/pod/app\n")
    for path in ("", "kube", "kube/pod", "kube/pod/app"):
        limit = 160 if path == tight else 5000
        machine.group(path, memory__max=limit * MIB, memory__current=100 * MIB)

    assert "60 MiB" in refusal(machine)
    assert container_limit(machine.root) == 160 * MIB


def test_groups_of_version_1_count(machine):
    """
    The memory controller of version 1 has files of other names.
    """
    machine.write("proc/self/cgroup", "9:cpu,cpuacct:/other\n5:memory:/docker/app\n3:freezer:/\n")
    machine.group(
        "memory/docker/app",
        memory__limit_in_bytes=200 * MIB,
        memory__usage_in_bytes=150 * MIB,
        memory__stat=f"inactive_file 1\ntotal_inactive_file {10 * MIB}\n",
    )
    machine.group(
        "memory", memory__limit_in_bytes=9223372036854771712, memory__usage_in_bytes=5000 * MIB
    )

    assert "60 MiB" in refusal(machine)
    assert container_limit(machine.root) == 200 * MIB


def test_path_of_the_host_is_not_seen_in_a_container(machine):
    """
    Inside a container the group's path is the host's; only its top is there.
    """
    machine.write("proc/self/cgroup", "0::/../../docker/0815\n")
    machine.group("", memory__max=160 * MIB, memory__current=100 * MIB)

    assert "60 MiB" in refusal(machine)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({"memory__max": "max\n"}, None, id="unlimited"),
        pytest.param({"memory__max": "max\n", "memory__high": "700\n"}, 700, id="soft-limit"),
        pytest.param({"memory__max": ""}, None, id="empty"),
        pytest.param({"memory__max": 1 << 62}, None, id="huge"),
        pytest.param({"memory__max": "4096\n"}, 4096, id="limited"),
    ],
)
def test_limit_is_read_from_its_group(machine, files, expected):
    """
    `max`, nothing and absurdly large numbers are no limit.
    """
    machine.write("proc/self/cgroup", "0::/\n")
    machine.group("", **files)

    assert container_limit(machine.root) == expected


def test_group_whose_use_is_not_known_does_not_count(machine):
    """
    A limit alone does not tell what is left.
    """
    machine.write("proc/self/cgroup", "0::/\n")
    machine.group("", memory__max=MIB)

    assert require_headroom(root=machine.root) is None


def test_level_of_this_process_is_read(monkeypatch):
    """
    The level is plain values, of this process.
    """
    monkeypatch.setattr(level, "container_limit", lambda: None)

    seen = read_level()

    assert seen.pid == os.getpid()
    assert seen.rss_bytes > MIB
    assert seen.heap_blocks > 1000
    assert (seen.limit_bytes, seen.limit_source) == (psutil.virtual_memory().total, "machine")
    assert seen.gc["enabled"] is gc.isenabled()
    assert seen.uptime_s >= 0
    assert json.loads(json.dumps(asdict(seen)))["gc"]["threshold"] == list(gc.get_threshold())


def test_limit_of_the_container_is_named(monkeypatch):
    """
    Where there is a limit, it is the one that counts.
    """
    monkeypatch.setattr(level, "container_limit", lambda: 123)

    seen = read_level()

    assert (seen.limit_bytes, seen.limit_source) == (123, "cgroup")


def test_resources_are_counted():
    """
    An open descriptor more is one more.
    """
    before = read_resources()
    with open(os.devnull):
        during = read_resources()

    assert during["fds"] == before["fds"] + 1
    assert during["threads"] >= 1


def test_resources_that_a_platform_does_not_count_are_not_known(monkeypatch):
    """
    Windows has no descriptors.
    """
    monkeypatch.setattr(psutil, "Process", lambda: SimpleNamespace(num_threads=lambda: 3))

    assert read_resources() == {"threads": 3, "fds": -1}
