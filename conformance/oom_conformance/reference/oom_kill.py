"""The OOM killer: the allocator's way into it, the scan, the kill and the queueing (mm/page_alloc.c, mm/oom_kill.c)."""

from __future__ import annotations

from collections.abc import Callable

from oom_conformance.reference.kernel import Kernel, Killer
from oom_conformance.reference.machine import Context, Frame
from oom_conformance.reference.objects import Mm, Process, Task


def allocator(kernel: Kernel, context: Context, killer: Killer) -> None:
    """An allocating context: it fails to find a page again and again, and enters the OOM killer each time."""
    at = Frame(context, "killer.__alloc_pages_may_oom", killer.name)
    while True:
        fails_to_allocate(context, killer)
        if killer.memcg:
            charge = Frame(context, "killer.mem_cgroup_out_of_memory", killer.name)
            charge.wait(kernel.oom_lock.free, "mutex_lock(oom_lock)")
            kernel.oom_lock.lock(killer.name)
            out_of_memory(kernel, context, killer)
        else:
            if not at.test(kernel.oom_lock.free, "mutex_trylock(oom_lock)", "", "fails"):
                continue
            kernel.oom_lock.lock(killer.name)
            found = at.choose([("get_page_from_freelist", each, None) for each in ("succeeds", "fails")])
            if found == "get_page_from_freelist[fails]":
                out_of_memory(kernel, context, killer)
        at.step("mutex_unlock(oom_lock)")
        kernel.oom_lock.unlock(killer.name)


def fails_to_allocate(context: Context, killer: Killer) -> None:
    """__alloc_pages_slowpath, on behalf of somebody else or of a thread that is modelled."""
    task = killer.current
    if task is None:
        Frame(context, "killer.__alloc_pages_may_oom", killer.name).step("__alloc_pages_slowpath", "fails")
        return
    at = Frame(context, "killer.__alloc_pages_may_oom", killer.name, task.name)
    fails, returns = at.name("__alloc_pages_slowpath", "fails for a thread"), at.name("return", "to the thread")
    sem = task.process.mm.mmap_sem

    def next_thing() -> tuple[str, ...]:
        found = [fails] if task.mm is not None and task.name not in sem.readers else []
        return tuple([*found, returns] if task.allocating else found)

    while context.pause(next_thing) == returns:
        task.allocating = False
    task.allocating = True


# -- who is dying ----------------------------------------------------------------------------


def task_is_dying(task: Task) -> bool:
    """__task_will_free_mem of v4.8 on."""
    process = task.process
    if process.dumping:
        return False
    return process.sigkill or (task.thread_group_empty() and task.exiting)


def task_will_free_mem(kernel: Kernel, task: Task) -> bool:
    """v4.8 on: it and every other user of its mm are going to exit."""
    mm = task.mm
    if mm is None or not task_is_dying(task) or mm.oom_skip:
        return False
    if mm.mm_users <= 1:
        return True
    if kernel.used_by_kthread(mm):
        return False
    for process in kernel.processes:
        if process is task.process or not process.shares(mm):
            continue
        if not task_is_dying(process.leader):
            return False
    return True


def task_will_free_mem_v4_7(kernel: Kernel, task: Task) -> bool:
    """v4.7: the thread exits, and with it the group."""
    return task_will_free_mem_v4_6(kernel, task) and (task.thread_group_empty() or task.process.sigkill)


def task_will_free_mem_v4_6(kernel: Kernel, task: Task) -> bool:
    """v4.6: the thread exits; both callers also ask for an mm."""
    return task.mm is not None and task.exiting and not task.process.dumping


def fatal_signal_pending(task: Task) -> bool:
    """SIGKILL was sent, and the thread has not acted on it yet."""
    return task.mm is not None and task.process.sigkill and not task.exiting


def current_goes_early(kernel: Kernel, task: Task) -> bool:
    """out_of_memory until v4.7: a pending SIGKILL is enough."""
    return fatal_signal_pending(task) or kernel.release.will_free_mem(kernel, task)


# -- out_of_memory and the scan --------------------------------------------------------------


def out_of_memory(kernel: Kernel, context: Context, killer: Killer) -> None:
    """With oom_lock held."""
    current = killer.current
    at = Frame(context, "killer.out_of_memory", killer.name)
    goes_on = at.name("task_will_free_mem(current)", "no")
    if current is None:
        context.pause((goes_on,))
    else:
        dies = Frame(context, "killer.out_of_memory", killer.name, current.name).name(
            "task_will_free_mem(current)", "yes"
        )
        test = kernel.release.current_will_free_mem
        if context.pause(lambda: (dies,) if test(kernel, current) else (goes_on,)) == dies:
            killer.victim = current
            mark_dying(kernel, context, killer, current)
            return
    chosen = select_bad_process(kernel, context, killer)
    if chosen is not None:
        killer.victim = chosen
        oom_kill_process(kernel, context, killer, chosen)


def meets(killer: Killer, task: Task, *, threads: bool) -> bool:
    """The walk over all processes, or over the tasks of the cgroup, comes to the task; ``threads``: to every thread."""
    if killer.memcg:
        return task.in_cgroup and task.process.name in killer.eligible
    return task.hashed and (threads or task.is_leader)


def oom_unkillable_task(killer: Killer, task: Task) -> bool:
    """Global init, or outside of the memcg or the node set."""
    return task.process.global_init or task.process.name not in killer.eligible


def select_bad_process(kernel: Kernel, context: Context, killer: Killer) -> Task | None:
    """Walks the tasks in the order of the list. None: nobody is to be killed, or the machine has panicked."""
    release = kernel.release
    walked: set[str] = set()
    ends = Frame(context, "killer.select_bad_process", killer.name)
    evaluate = release.evaluate(kernel, context, killer)

    def upcoming() -> Task | None:
        for task in kernel.tasks:
            if task.name not in walked and meets(killer, task, threads=release.scans_threads):
                return task
        return None

    # whom the walk comes to is looked up when the step is taken, not when it is offered
    coming: list[Task | None] = [None]

    def next_thing() -> tuple[str, ...]:
        coming[0] = task = upcoming()
        if task is not None:
            return evaluate(task)
        if killer.chosen is not None:
            chosen = Frame(context, "killer.select_bad_process", killer.name, killer.chosen.name)
            return (chosen.name("oom_kill_process"),)
        if killer.memcg:
            return (ends.name("select_bad_process", "nobody, memcg"),)
        return (ends.name("panic", "nobody to kill"),)

    while True:
        action = context.pause(next_thing)
        task = coming[0]
        if task is None:
            break
        walked.add(task.name)
        if aborts(action):
            drop_candidate(killer)
            return None
        if "oom_badness[largest so far]" in action:
            drop_candidate(killer)
            task.get()
            killer.chosen = task
    if "[nobody to kill]" in action:
        kernel.machine.halt("PANIC")
    chosen, killer.chosen = killer.chosen, None
    return chosen


def drop_candidate(killer: Killer) -> None:
    """put_task_struct of the best task so far."""
    if killer.chosen is not None:
        killer.chosen.put()
        killer.chosen = None


def aborts(action: str) -> bool:
    """The scan met a victim that it has to wait for."""
    return any(each in action for each in ("[clear](", "TIF_MEMDIE)[set](", "(oom_victims)[not 0]("))


Evaluate = Callable[[Task], tuple[str, ...]]


def oom_evaluate_task(kernel: Kernel, context: Context, killer: Killer) -> Evaluate:
    """v4.9 on: a marked victim without MMF_OOM_SKIP aborts the scan."""
    function = "killer.oom_evaluate_task"

    def evaluate(task: Task) -> tuple[str, ...]:
        at = Frame(context, function, killer.name, task.name)
        if oom_unkillable_task(killer, task):
            return (at.name("oom_unkillable_task"),)
        process = task.process
        if process.oom_mm is not None:
            return (at.name("test_bit(MMF_OOM_SKIP)", "set" if process.oom_mm.oom_skip else "clear"),)
        return badness_of(at, killer, process)

    return evaluate


def badness_of(at: Frame, killer: Killer, process: Process) -> tuple[str, ...]:
    """oom_badness: 0 without a thread that has the mm, or with MMF_OOM_SKIP; otherwise anything above 0."""
    thread = process.thread_with_mm()
    if thread is None or process.mm.oom_skip:
        return (at.name("oom_badness", "0"),)
    return any_badness(at, killer)


def any_badness(at: Frame, killer: Killer) -> tuple[str, ...]:
    """How large it is, is not modelled: it may be the largest so far."""
    largest = at.name("oom_badness", "largest so far")
    return (largest,) if killer.chosen is None else (largest, at.name("oom_badness", "not the largest"))


# -- the kill --------------------------------------------------------------------------------


def oom_kill_process(kernel: Kernel, context: Context, killer: Killer, victim: Task) -> None:
    """The chosen task dies by itself, or is killed; then, where memory.oom.group is set, the rest of its cgroup."""
    release = kernel.release
    at = Frame(context, "killer.oom_kill_process", killer.name, victim.name)
    call = "task_will_free_mem(victim)"
    yes, no = (at.name(call, "yes"),), (at.name(call, "no"),)
    locks = release.will_free_mem_locks

    def tested() -> tuple[str, ...]:
        if locks and not victim.unlocked():
            return ()
        return yes if release.will_free_mem(kernel, victim) else no

    if context.pause(tested) == yes[0]:
        victim.task_lock = killer.name
        mark_dying(kernel, context, killer, victim)
        victim.put()
        return
    group = killer.oom_group and release.oom_group
    kill_one(kernel, context, killer, victim, group=group)
    if not group:
        return
    walked: set[str] = set()

    def left() -> Task | None:
        for task in kernel.tasks:
            if task.name not in walked and task.in_cgroup and not oom_unkillable_task(killer, task):
                return task
        return None

    done = Frame(context, "killer.oom_kill_process", killer.name).name("mem_cgroup_scan_tasks", "done")
    coming: list[Task | None] = [None]

    def members() -> tuple[str, ...]:
        coming[0] = task = left()
        if task is None:
            return (done,)
        return (Frame(context, "killer.oom_kill_process", killer.name, task.name).name("__oom_kill_process"),)

    while context.pause(members) != done:
        task = coming[0]
        assert task is not None  # it was offered
        walked.add(task.name)
        killer.victim = task
        task.get()
        kill_one(kernel, context, killer, task, group=group)


def kill_one(kernel: Kernel, context: Context, killer: Killer, victim: Task, *, group: bool) -> None:
    """__oom_kill_process: SIGKILL, the mark, the sharers, the queue. ``victim`` comes with a reference."""
    release = kernel.release
    thread = find_lock_task_mm(context, killer, victim, group=group)
    if thread is None:
        killer.victim = None
        victim.put()
        return
    if thread is not victim:
        thread.get()
        victim.put()
    killer.victim = thread
    thread.task_lock = killer.name
    mm = thread.process.mm
    at = Frame(context, "killer.oom_kill_process", killer.name, thread.name)
    at.step("mmgrab")
    mm.mmgrab()
    at.step("do_send_sig_info(SIGKILL)")
    thread.process.sigkill = True
    release.mark_oom_victim(kernel, context, killer, thread, "")
    at.step("task_unlock")
    thread.task_lock = ""
    if release.kill_sharers(kernel, context, killer, thread):
        release.wake_oom_reaper(kernel, context, killer, thread, "")
    at.step("mmdrop", "memory.oom.group" if group else "")
    mm.mmdrop()
    thread.put()
    killer.victim = None


def find_lock_task_mm(context: Context, killer: Killer, victim: Task, *, group: bool) -> Task | None:
    """The first thread of the group that has an mm, with its task_lock, which it may have to wait for."""
    process = victim.process
    none = Frame(context, "killer.oom_kill_process", killer.name, victim.name).name(
        "find_lock_task_mm", "none, memory.oom.group" if group else "none"
    )
    found: list[Task | None] = [None]

    def first() -> tuple[str, ...]:
        found[0] = thread = process.thread_with_mm()
        if thread is None:
            return (none,)
        if not thread.unlocked():
            return ()
        at = Frame(context, "killer.oom_kill_process", killer.name, victim.name, thread.name)
        return (at.name("find_lock_task_mm"),)

    context.pause(first)
    return found[0]


def mark_dying(kernel: Kernel, context: Context, killer: Killer, task: Task) -> None:
    """A dying task is marked and queued, and nobody is killed."""
    release = kernel.release
    release.mark_oom_victim(kernel, context, killer, task, "dying")
    release.queue_dying(kernel, context, killer, task)
    Frame(context, "killer.oom_kill_process", killer.name, task.name).step("task_unlock", "dying")
    if task.task_lock == killer.name:  # current is marked without its task_lock, which somebody else may hold
        task.task_lock = ""
    killer.victim = None


def queue_dying(kernel: Kernel, context: Context, killer: Killer, task: Task) -> None:
    """wake_oom_reaper, whoever else uses the mm."""
    kernel.release.wake_oom_reaper(kernel, context, killer, task, "dying")


def queue_nobody(kernel: Kernel, context: Context, killer: Killer, task: Task) -> None:
    """v4.6: a dying task is not queued."""


def mark_oom_victim(kernel: Kernel, context: Context, killer: Killer, task: Task, how: str) -> None:
    """v4.9 on: TIF_MEMDIE, then signal->oom_mm with a reference, then the thaw."""
    release = kernel.release
    at = Frame(context, "killer.mark_oom_victim", killer.name, task.name)
    process, mm = task.process, task.process.mm
    if at.test(lambda: task.memdie, "set TIF_MEMDIE", joined(how, "already set"), how):
        return
    task.memdie = True
    if at.test(lambda: process.oom_mm is not None, "cmpxchg(oom_mm)", joined(how, "already set"), how):
        thaw(kernel, task)
    else:
        process.oom_mm = mm
        at.step("mmgrab(oom_mm)", how)
        mm.mmgrab()
        process.oom_mm_counted = True
        if release.sets_oom_victim:
            mm.oom_victim = True
        thaw(kernel, task)
    if release.mark_pins_mm_users:
        at.step("mmget", how)
        if not mm.oom_reaping:
            mm.oom_reaping = True
            mm.mmget()


def thaw(kernel: Kernel, task: Task) -> None:
    """__thaw_task, from v6.18 on thaw_process."""
    for each in task.process.tasks if kernel.release.thaws_process else [task]:
        each.frozen = False


def joined(*parts: str) -> str:
    """Parts of an outcome."""
    return ", ".join(part for part in parts if part)


# -- the other users of the mm ---------------------------------------------------------------


def kill_sharers(kernel: Kernel, context: Context, killer: Killer, victim: Task) -> bool:
    """Every other process that uses the mm is killed; gives can_oom_reap. v4.9 on: global init hides the mm."""

    def init(at: Frame) -> str:
        return at.name("set_bit(MMF_OOM_SKIP)", "init shares")

    def hide(mm: Mm) -> None:
        mm.oom_skip = True
        if mm.oom_reaping:  # of a proposal: the mark's reference goes; init's own keeps mm_users up
            mm.oom_reaping = False
            mm.drop_user()

    return walk_sharers(kernel, context, killer, victim, lambda process: process.global_init, init, hide, kthread=None)


def walk_sharers(
    kernel: Kernel,
    context: Context,
    killer: Killer,
    victim: Task,
    spares: Callable[[Process], bool],
    spared: Callable[[Frame], str],
    hide: Callable[[Mm], None],
    *,
    kthread: Callable[[Frame], str] | None,
) -> bool:
    """for_each_process: ``spares`` says who is not killed, ``hide`` what that means; ``kthread``: use_mm counts too."""
    mm = victim.process.mm
    at = Frame(context, "killer.oom_kill_process", killer.name, victim.name)
    can_reap = True
    kills: dict[str, Process] = {}

    def next_thing() -> tuple[str, ...]:
        found: list[str] = []
        for process in kernel.processes:
            if process is victim.process or not process.shares(mm):
                continue
            of = Frame(context, "killer.oom_kill_process", killer.name, victim.name, process.name)
            if spares(process):
                if can_reap:
                    found.append(spared(of))
            elif not process.sigkill:
                name = of.name("do_send_sig_info(SIGKILL)", "a sharer")
                kills[name] = process
                found.append(name)
        if kthread is not None and can_reap:
            found += [
                kthread(Frame(context, "killer.oom_kill_process", killer.name, victim.name, thread))
                for thread in kernel.kthreads_on(mm)
            ]
        return tuple(found) if found else (at.name("rcu_read_unlock", "can reap" if can_reap else "cannot reap"),)

    while "rcu_read_unlock" not in (action := context.pause(next_thing)):
        if action in kills:
            kills[action].sigkill = True
        else:
            can_reap = False
            hide(mm)
    return can_reap


# -- the queue -------------------------------------------------------------------------------


def wake_oom_reaper(kernel: Kernel, context: Context, killer: Killer, task: Task, how: str) -> None:
    """Until v4.20: is it queued?, asked without the lock; then get_task_struct and the push."""
    at = Frame(context, "killer.wake_oom_reaper", killer.name, task.name)
    queue = kernel.oom_reaper_list
    call = "wake_oom_reaper"
    if at.test(lambda: queue.looks_queued(task), call, joined(how, "already queued"), joined(how, "not queued")):
        return
    at.test(lambda: queue.on(task), "oom_reaper_list = tsk", joined(how, "list corrupted"), how)
    task.get()
    queue.push(task)


def queue_once(kernel: Kernel, context: Context, killer: Killer, task: Task, how: str) -> None:
    """v5.0 on: MMF_OOM_REAP_QUEUED lets one task per mm through; from v5.18 on a timer pushes it later."""
    at = Frame(context, "killer.wake_oom_reaper", killer.name, task.name)
    mm = task.process.mm
    call = "test_and_set_bit(MMF_OOM_REAP_QUEUED)"
    if at.test(lambda: mm.reap_queued, call, joined(how, "was set"), joined(how, "was clear")):
        return
    mm.reap_queued = True
    if kernel.release.reaper_delay:
        Frame(context, "killer.queue_oom_reaper", killer.name, task.name).step("add_timer", how)
        task.get()
        task.timer = True
    else:
        at.step("oom_reaper_list = tsk", how)
        task.get()
        kernel.oom_reaper_list.push(task)
