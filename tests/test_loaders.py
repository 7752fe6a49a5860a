"""How many processes load images, what memory their images take, and that their death leaves nobody waiting."""

import os
import signal

import pytest
import torch
from plidenet.data.loaders import build_eval_loader, build_train_loader, worker_count
from plidenet.data.stores import MemoryStore
from plidenet.errors import UserError


@pytest.mark.parametrize(("n_workers", "started"), [(0, 0), (1, 1), (2, 2), (4, 2)])
def test_no_more_processes_load_than_there_are_cpus(monkeypatch, n_workers, started):
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 3}, raising=False)
    train = build_train_loader(range(9), batch_size=3, n_workers=n_workers, seed=0, device=torch.device("cpu"))
    assert train.num_workers == build_eval_loader(range(9), n_workers).num_workers == started


@pytest.mark.parametrize(("cpus", "started"), [(3, 3), (None, 1)])
def test_some_systems_tell_the_number_of_cpus_alone_or_nothing(monkeypatch, cpus, started):
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: cpus)
    assert worker_count(4) == started


def test_images_that_do_not_fit_into_the_memory_are_told_how_much_they_take():
    class Endless:
        keys = ("a",)

        def size(self, key):
            return 2**26, 2**26

    with pytest.raises(UserError, match=r"needs 12582912\.0 GiB, more than is free on cpu; data\.cache=none"):
        MemoryStore(Endless(), torch.device("cpu"))


def test_images_are_not_begun_to_be_read_where_the_free_memory_will_not_hold_them(monkeypatch):
    class Large:
        keys = ("a",)

        def size(self, key):
            return 2**10, 2**10

    monkeypatch.setattr("plidenet.data.stores.free_memory", lambda device: 3 * 2**20 - 1)
    with pytest.raises(UserError, match=r"needs 0\.0 GiB, more than is free on cpu"):
        MemoryStore(Large(), torch.device("cpu"))


@pytest.mark.parametrize(("cache", "pinned"), [("none", True), ("ram", True), ("gpu", False)])
def test_batches_for_a_gpu_are_pinned_unless_they_are_there(cache, pinned):
    class Kept(list):
        def keep_in_memory(self, device):
            self.append(device.type)

    data = Kept()
    loader = build_train_loader(data, batch_size=1, n_workers=0, seed=0, device=torch.device("cuda"), cache=cache)
    assert (loader.pin_memory, data) == (pinned, {"none": [], "ram": ["cpu"], "gpu": ["cuda"]}[cache])


@pytest.mark.timeout(60)
def test_a_worker_killed_at_any_moment_leaves_nobody_waiting(monkeypatch):
    def killed_with_the_lock(event):
        with event._cond:
            os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr("multiprocessing.synchronize.Event.is_set", killed_with_the_lock)
    batches = iter(build_eval_loader(range(10**6), 1))
    with pytest.raises(RuntimeError, match="DataLoader worker"):
        for number in batches:
            if number == 9:
                os.kill(batches._workers[0].pid, signal.SIGKILL)
    del batches
