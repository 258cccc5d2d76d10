"""Lemmas about oom_lock."""

from __future__ import annotations

from oom_spec.unbounded.lemmas.lemma import Lemma

OOM_LOCK = (
    Lemma(
        "killer-works-under-oom-lock",
        "Whoever is in the OOM killer holds oom_lock.",
        "__alloc_pages_may_oom, mem_cgroup_out_of_memory",
        ("killer1.at is not IDLE or OOM_LOCK", "not killer1.holds_oom_lock"),
    ),
    Lemma(
        "reaper-and-killer-exclude-each-other",
        "The reaper and a killer do not both hold oom_lock.",
        "it is a mutex",
        ("reaper.holds_oom_lock", "killer1.holds_oom_lock"),
    ),
    Lemma(
        "reaper-works-under-oom-lock",
        "The reaper holds oom_lock during its attempts.",
        "__oom_reap_task_mm (e2fe14564d33, until af5679fbc669)",
        (
            "reaper.at is not WAIT or RETRY or LINK_NULL or SET_SKIP or PUT_TASK or OOM_LOCK",
            "not reaper.holds_oom_lock",
        ),
    ),
    Lemma(
        "reaper-sets-skip-under-oom-lock",
        "The reaper holds oom_lock where it sets MMF_OOM_SKIP.",
        "Handa, 2017-06-16",
        ("reaper.at is SET_SKIP or SKIP_OOM_UNLOCK", "world.halted is RUNNING", "not reaper.holds_oom_lock"),
    ),
    Lemma(
        "no-news-for-a-scan",
        "Between an allocator's last attempt and the end of its scan, the reaper sets no MMF_OOM_SKIP.",
        "Handa, 2017-06-16",
        (
            "killer1.at is not IDLE or OOM_LOCK or LAST_ATTEMPT or UNLOCK",
            "not killer1.memcg",
            "world.skip_is_news[killer1]",
        ),
    ),
)
"""Who holds oom_lock, and what it keeps apart."""

__all__ = ["OOM_LOCK"]
