// SPDX-License-Identifier: GPL-2.0-only
/*
 * The OOM reaper, the OOM killer and the exit path of Linux v4.9 to v4.12 (era E4), for worlds in which each
 * process has one thread and an mm of its own, and nobody takes mmap_sem for writing.
 *
 * Every routine of the kernel is a function with a program counter: a switch over where the actor stands.
 * The same code says what can run and runs it: `step` notes an action that could be taken, or tells that it
 * is the one to take. So what is offered and what is done cannot drift apart.
 */
#ifndef OOMSPEC_KERNEL_H
#define OOMSPEC_KERNEL_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#ifndef PLANTED_BUG
#define PLANTED_BUG 0
#endif

enum { MOST = 8, NAME = 32, TEXT = 256 };

/* ---- the kernel's objects ---- */

enum presence { PRESENT, BEING_FREED, FREED };
static const char *const presence_names[] = { "PRESENT", "BEING_FREED", "FREED" };

struct mm {
	char name[NAME];
	int mm_users, mm_count, readers; /* readers: holders of mmap_sem */
	bool oom_skip, unstable;         /* MMF_OOM_SKIP, MMF_UNSTABLE */
	long pages;                      /* mapped, of private VMAs without VM_LOCKED */
	bool gathered;                   /* pages in exit_mmap's mmu_gather */
	enum presence page_tables, vmas;
	struct task *executor;           /* who runs __mmput; NULL: a kworker */
	enum {
		MM_USED, EXIT_AIO, KSM_EXIT, KHUGEPAGED_EXIT, NOTIFIER_RELEASE, MUNLOCK, FIRST_VMA, UNMAP, FREE_PGTABLES,
		FREEING_PGTABLES, TLB_FINISH, FREE_VMAS, FREEING_VMAS, MMPUT_SET_SKIP, MMDROP, MMPUT_RETURNED
	} at;
};

struct process { /* a thread group with its signal_struct */
	char name[NAME];
	struct mm *mm;     /* the mm that its thread starts with */
	struct mm *oom_mm; /* signal->oom_mm */
	bool oom_mm_counted, sigkill, never_exits;
};

struct task {
	char name[NAME];
	struct process *process;
	struct mm *mm; /* t->mm */
	int usage;
	bool exiting, memdie, hashed, in_cgroup, locked, in_mmput;
	struct task *oom_reaper_list;
	enum { RUN, DOWN_READ, CLEAR_MM, UP_READ, MMPUT, EXIT_OOM_VICTIM, CGROUP_EXIT, EXIT_NOTIFY, DEAD } at;
};

struct reaper {
	char name[NAME];
	struct task *job;
	enum {
		WAIT, REAP_OOM_LOCK, TRYLOCK, MMGET, SET_UNSTABLE, ZAP, UP_READ_REAPED, MMPUT_ASYNC, UP_READ_SKIPPED,
		REAP_OOM_UNLOCK, LINK_NULL, SET_SKIP, PUT_TASK
	} at;
};

struct killer { /* an allocation that fails, and the OOM killer that it enters */
	char name[NAME];
	struct task *chosen, *victim;
	int next; /* where the scan stands on the task list */
	enum {
		IDLE, OOM_LOCK, LAST_ATTEMPT, WILL_FREE, SELECT, VICTIM_WILL_FREE, FIND_LOCK, MMGRAB, SIGKILL, MARK_MEMDIE,
		MARK_OOM_MM, MARK_MMGRAB, TASK_UNLOCK, SHARERS, WAKE, QUEUE, KILL_MMDROP, OOM_UNLOCK
	} at;
};

struct machine {
	struct mm mms[MOST];
	struct process processes[MOST];
	struct task tasks[MOST]; /* in the order of the task list */
	int mm_number, process_number, task_number;
	struct reaper reaper;
	struct killer killer;
	struct task *oom_reaper_list; /* the head; last in, first out */
	bool oom_lock;
};

/* ---- what can run, and what is to run ---- */

static const char *wanted; /* the action to take; NULL: write down what could be taken */
static bool taken, first;

static bool step(const char *id, const char *a, const char *b, const char *c)
{
	char name[TEXT + 4 * NAME];

	snprintf(name, sizeof name, "%s(%s%s%s%s%s)", id, a, b ? ", " : "", b ? b : "", c ? ", " : "", c ? c : "");
	if (!wanted) {
		printf("%s\"%s\"", first ? "" : ",", name); /* nothing in these names needs an escape */
		first = false;
		return false;
	}
	if (taken || strcmp(name, wanted) != 0)
		return false;
	taken = true;
	return true;
}

/* ---- its own checks, as KASAN and refcount_t have them: what they find is told beside what is seen ---- */

enum { REPORTS = 8 };
static char reports[REPORTS][TEXT]; /* since the last reset; nothing in them needs an escape */
static int report_number;

static void check(bool good, const char *what, const char *name)
{
	if (!good && report_number < REPORTS)
		snprintf(reports[report_number++], TEXT, "%s: %s", what, name);
}

/* ---- counts ---- */

static void put_task_struct(struct task *t)
{
	check(t->usage > 0, "put_task_struct of a task that is freed", t->name);
	if (--t->usage == 0 && t->process->oom_mm_counted) /* free_task, free_signal_struct */
		t->process->oom_mm->mm_count--;
}

static bool mmput(struct mm *mm, struct task *by)
{
	check(mm->mm_users > 0, "mmput of an mm without users", mm->name);
	if (--mm->mm_users > 0)
		return false;
	mm->executor = by;
	mm->at = EXIT_AIO;
	return true;
}

/* ---- kernel/exit.c: do_exit and exit_mm ---- */

static void do_exit(struct task *t)
{
	struct mm *mm = t->process->mm;

	switch (t->at) {
	case RUN:
		if (t->process->sigkill && !t->process->never_exits &&
		    step("task.do_exit.exit_signals[killed]", t->name, NULL, NULL)) {
			t->exiting = true;
			t->at = DOWN_READ;
		}
		break;
	case DOWN_READ: /* nobody writes, so nobody waits */
		if (step("task.exit_mm.down_read", t->name, NULL, NULL)) {
			mm->readers++;
			t->at = CLEAR_MM;
		}
		break;
	case CLEAR_MM:
		if (!t->locked && step("task.exit_mm.task_lock; current->mm = NULL", t->name, NULL, NULL)) {
			t->mm = NULL;
			t->at = UP_READ;
		}
		break;
	case UP_READ:
		if (step("task.exit_mm.up_read", t->name, NULL, NULL)) {
			mm->readers--;
			t->at = MMPUT;
		}
		break;
	case MMPUT:
		if (step(mm->mm_users == 1 ? "task.exit_mm.mmput[last]" : "task.exit_mm.mmput[not last]", t->name, NULL, NULL)) {
			t->in_mmput = mmput(mm, t);
			t->at = EXIT_OOM_VICTIM;
		}
		break;
	case EXIT_OOM_VICTIM:
		if (t->in_mmput && PLANTED_BUG != 3)
			break;
		if (step(t->memdie ? "task.exit_mm.exit_oom_victim[TIF_MEMDIE]" : "task.exit_mm.exit_oom_victim[no TIF_MEMDIE]",
			 t->name, NULL, NULL)) {
			t->memdie = false;
			t->at = CGROUP_EXIT;
		}
		break;
	case CGROUP_EXIT:
		if (step("task.do_exit.cgroup_exit", t->name, NULL, NULL)) {
			t->in_cgroup = false;
			t->at = EXIT_NOTIFY;
		}
		break;
	case EXIT_NOTIFY: /* the only thread of its group */
		if (step("task.do_exit.exit_notify[released]", t->name, NULL, NULL)) {
			t->hashed = false;
			t->at = DEAD;
			put_task_struct(t);
		}
		break;
	case DEAD:
		break;
	}
}

/* ---- kernel/fork.c: __mmput, and mm/mmap.c: exit_mmap ---- */

static void __mmput(struct mm *mm)
{
	static const char *const nothing_to_do[] = { /* in these worlds */
		"mm.exit_aio.kill_ioctx[completes]", "mm.__ksm_exit.ksm_exit[no ksmd]",
		"mm.__khugepaged_exit.khugepaged_exit[no khugepaged]", "mm.exit_mmap.mmu_notifier_release",
		"mm.exit_mmap.munlock_vma_pages_all[none locked]", "mm.exit_mmap.tlb_gather_mmu"
	};

	switch (mm->at) {
	case MM_USED: case MMPUT_RETURNED:
		break;
	case EXIT_AIO: case KSM_EXIT: case KHUGEPAGED_EXIT: case NOTIFIER_RELEASE: case MUNLOCK: case FIRST_VMA:
		if (step(nothing_to_do[mm->at - EXIT_AIO], mm->name, NULL, NULL))
			mm->at++;
		break;
	case UNMAP:
		if (mm->pages && step("mm.exit_mmap.unmap_vmas[a reapable page]", mm->name, NULL, NULL)) {
			mm->pages--;
			mm->gathered = true;
		} else if (!mm->pages && step("mm.exit_mmap.unmap_vmas[done]", mm->name, NULL, NULL)) {
			mm->at = FREE_PGTABLES;
		}
		break;
	case FREE_PGTABLES:
		if (step("mm.exit_mmap.free_pgtables", mm->name, NULL, NULL)) {
			mm->page_tables = BEING_FREED;
			mm->at = FREEING_PGTABLES;
		}
		break;
	case FREEING_PGTABLES:
		if (step("mm.exit_mmap.free_pgtables[done]", mm->name, NULL, NULL)) {
			mm->page_tables = FREED;
			mm->at = TLB_FINISH;
		}
		break;
	case TLB_FINISH:
		if (step("mm.exit_mmap.tlb_finish_mmu", mm->name, NULL, NULL)) {
			mm->gathered = false;
			mm->at = FREE_VMAS;
		}
		break;
	case FREE_VMAS:
		if (step("mm.exit_mmap.remove_vma", mm->name, NULL, NULL)) {
			mm->vmas = BEING_FREED;
			mm->at = FREEING_VMAS;
		}
		break;
	case FREEING_VMAS:
		if (step("mm.exit_mmap.remove_vma[done]", mm->name, NULL, NULL)) {
			mm->vmas = FREED;
			mm->at = MMPUT_SET_SKIP;
		}
		break;
	case MMPUT_SET_SKIP:
		if (step("mm.__mmput.set_bit(MMF_OOM_SKIP)", mm->name, NULL, NULL)) {
			mm->oom_skip = true;
			mm->at = MMDROP;
		}
		break;
	case MMDROP:
		if (mm->executor ? step("mm.__mmput.mmdrop[to exit_mm]", mm->name, mm->executor->name, NULL)
				 : step("mm.__mmput.mmdrop[to another caller]", mm->name, NULL, NULL)) {
			if (mm->executor)
				mm->executor->in_mmput = false;
			mm->mm_count--;
			mm->at = MMPUT_RETURNED;
		}
		break;
	}
}

/* ---- mm/oom_kill.c: oom_reaper, oom_reap_task, __oom_reap_task_mm ---- */

static void clear_link(struct task *t)
{
	check(t->usage > 0, "oom_reap_task uses a task that is freed", t->name);
	t->oom_reaper_list = NULL;
}

static void oom_reaper(struct machine *m)
{
	struct reaper *r = &m->reaper;
	struct task *t = r->at == WAIT ? m->oom_reaper_list : r->job;
	struct mm *mm = t ? t->process->oom_mm : NULL;

	if (!t)
		return;
	switch (r->at) {
	case WAIT:
		if (step("reaper.oom_reaper.oom_reap_task", r->name, t->name, NULL)) {
			m->oom_reaper_list = t->oom_reaper_list;
			r->job = t; /* with the list's reference */
			r->at = REAP_OOM_LOCK;
		}
		break;
	case REAP_OOM_LOCK:
		if (!m->oom_lock && step("reaper.__oom_reap_task_mm.mutex_lock(oom_lock)", r->name, t->name, NULL)) {
			m->oom_lock = true;
			r->at = TRYLOCK;
		}
		break;
	case TRYLOCK: /* nobody writes, so it does not fail */
		if (step("reaper.__oom_reap_task_mm.down_read_trylock", r->name, t->name, NULL)) {
			mm->readers++;
			r->at = MMGET;
		}
		break;
	case MMGET:
#if PLANTED_BUG == 2
		if (step("reaper.__oom_reap_task_mm.mmget_not_zero", r->name, t->name, NULL))
			r->at = SET_UNSTABLE;
#else
		if (mm->mm_users > 0 && step("reaper.__oom_reap_task_mm.mmget_not_zero", r->name, t->name, NULL)) {
			mm->mm_users++;
			r->at = SET_UNSTABLE;
		} else if (mm->mm_users == 0 &&
			   step("reaper.__oom_reap_task_mm.mmget_not_zero[fails]", r->name, t->name, NULL)) {
			r->at = UP_READ_SKIPPED;
		}
#endif
		break;
	case SET_UNSTABLE:
		if (step("reaper.__oom_reap_task_mm.set_bit(MMF_UNSTABLE)", r->name, t->name, NULL)) {
			mm->unstable = true;
			mm->oom_skip = mm->oom_skip || PLANTED_BUG == 1;
			r->at = ZAP;
		}
		break;
	case ZAP:
		if (mm->pages && step("reaper.__oom_reap_task_mm.unmap_page_range[a page]", r->name, t->name, NULL)) {
			check(mm->page_tables == PRESENT && mm->vmas == PRESENT, "unmap_page_range walks what is freed", mm->name);
			mm->pages--;
		} else if (!mm->pages && step("reaper.__oom_reap_task_mm.tlb_finish_mmu", r->name, t->name, NULL)) {
			r->at = UP_READ_REAPED;
		}
		break;
	case UP_READ_REAPED:
		if (step("reaper.__oom_reap_task_mm.up_read", r->name, t->name, NULL)) {
			mm->readers--;
			r->at = MMPUT_ASYNC;
		}
		break;
	case MMPUT_ASYNC: /* the last user's __mmput is left to a kworker */
		if (step(mm->mm_users == 1 ? "reaper.__oom_reap_task_mm.mmput_async[last]"
					   : "reaper.__oom_reap_task_mm.mmput_async[not last]", r->name, t->name, NULL)) {
			mmput(mm, NULL);
			r->at = REAP_OOM_UNLOCK;
		}
		break;
	case UP_READ_SKIPPED:
		if (step("reaper.__oom_reap_task_mm.up_read[nothing reaped]", r->name, t->name, NULL)) {
			mm->readers--;
			r->at = REAP_OOM_UNLOCK;
		}
		break;
	case REAP_OOM_UNLOCK:
		if (step("reaper.__oom_reap_task_mm.mutex_unlock(oom_lock)[true]", r->name, t->name, NULL)) {
			m->oom_lock = false;
			r->at = LINK_NULL;
		}
		break;
	case LINK_NULL:
		if (step("reaper.oom_reap_task.tsk->oom_reaper_list = NULL", r->name, t->name, NULL)) {
			clear_link(t);
			r->at = SET_SKIP;
		}
		break;
	case SET_SKIP:
		if (step("reaper.oom_reap_task.set_bit(MMF_OOM_SKIP)", r->name, t->name, NULL)) {
			mm->oom_skip = true;
			r->at = PUT_TASK;
		}
		break;
	case PUT_TASK:
		if (step("reaper.oom_reap_task.put_task_struct", r->name, t->name, NULL)) {
			r->job = NULL;
			r->at = WAIT;
			put_task_struct(t);
			if (PLANTED_BUG == 4)
				clear_link(t);
		}
		break;
	}
}

/* ---- mm/page_alloc.c: __alloc_pages_may_oom, and mm/oom_kill.c: out_of_memory ---- */

static bool task_will_free_mem(const struct task *t)
{
	return t->mm && (t->process->sigkill || t->exiting) && !t->mm->oom_skip;
}

static void choose(struct killer *k, struct task *t)
{
	if (t)
		t->usage++;
	if (k->chosen)
		put_task_struct(k->chosen);
	k->chosen = t;
}

static void select_bad_process(struct machine *m)
{
	struct killer *k = &m->killer;
	struct task *t;
	int at = k->next;

	while (at < m->task_number && !m->tasks[at].hashed)
		at++;
	if (at == m->task_number) { /* every task that the walk can meet was met */
		if (k->chosen && step("killer.select_bad_process.oom_kill_process", k->name, k->chosen->name, NULL)) {
			k->victim = k->chosen; /* with its reference */
			k->chosen = NULL;
			k->at = VICTIM_WILL_FREE;
		}
		return;
	}
	t = &m->tasks[at];
	if (t->process->oom_mm) { /* tsk_is_oom_victim */
		if (t->process->oom_mm->oom_skip) {
			if (step("killer.oom_evaluate_task.test_bit(MMF_OOM_SKIP)[set]", k->name, t->name, NULL))
				k->next = at + 1;
		} else if (step("killer.oom_evaluate_task.test_bit(MMF_OOM_SKIP)[clear]", k->name, t->name, NULL)) {
			k->at = OOM_UNLOCK;
		}
	} else if (t->mm && !t->mm->oom_skip) { /* oom_badness: whichever may turn out to be the largest */
		if (step("killer.oom_evaluate_task.oom_badness[largest so far]", k->name, t->name, NULL)) {
			choose(k, t);
			k->next = at + 1;
		} else if (k->chosen && step("killer.oom_evaluate_task.oom_badness[not the largest]", k->name, t->name, NULL)) {
			k->next = at + 1;
		}
	}
}

static void oom_kill_process(struct machine *m)
{
	struct killer *k = &m->killer;
	struct task *t = k->victim;

	switch (k->at) {
	case VICTIM_WILL_FREE:
		if (!t->locked && !task_will_free_mem(t) &&
		    step("killer.oom_kill_process.task_will_free_mem(victim)[no]", k->name, t->name, NULL))
			k->at = FIND_LOCK;
		break;
	case FIND_LOCK:
		if (t->mm && !t->locked && step("killer.oom_kill_process.find_lock_task_mm", k->name, t->name, t->name)) {
			t->locked = true;
			k->at = MMGRAB;
		}
		break;
	case MMGRAB:
		if (step("killer.oom_kill_process.mmgrab", k->name, t->name, NULL)) {
			t->process->mm->mm_count++;
			k->at = SIGKILL;
		}
		break;
	case SIGKILL:
		if (step("killer.oom_kill_process.do_send_sig_info(SIGKILL)", k->name, t->name, NULL)) {
			t->process->sigkill = true;
			k->at = MARK_MEMDIE;
		}
		break;
	case MARK_MEMDIE:
		if (step("killer.mark_oom_victim.set TIF_MEMDIE", k->name, t->name, NULL)) {
			t->memdie = true;
			k->at = MARK_OOM_MM;
		}
		break;
	case MARK_OOM_MM:
		if (step("killer.mark_oom_victim.cmpxchg(oom_mm)", k->name, t->name, NULL)) {
			t->process->oom_mm = t->process->mm;
			k->at = MARK_MMGRAB;
		}
		break;
	case MARK_MMGRAB:
		if (step("killer.mark_oom_victim.mmgrab(oom_mm)", k->name, t->name, NULL)) {
			t->process->oom_mm->mm_count++;
			t->process->oom_mm_counted = true;
			k->at = TASK_UNLOCK;
		}
		break;
	case TASK_UNLOCK:
		if (step("killer.oom_kill_process.task_unlock", k->name, t->name, NULL)) {
			t->locked = false;
			k->at = SHARERS;
		}
		break;
	case SHARERS: /* nobody else uses the mm */
		if (step("killer.oom_kill_process.rcu_read_unlock[can reap]", k->name, t->name, NULL))
			k->at = WAKE;
		break;
	case WAKE:
		if (t == m->oom_reaper_list || t->oom_reaper_list) {
			if (step("killer.wake_oom_reaper.wake_oom_reaper[already queued]", k->name, t->name, NULL))
				k->at = KILL_MMDROP;
		} else if (step("killer.wake_oom_reaper.wake_oom_reaper[not queued]", k->name, t->name, NULL)) {
			k->at = QUEUE;
		}
		break;
	case QUEUE:
		if (step("killer.wake_oom_reaper.oom_reaper_list = tsk", k->name, t->name, NULL)) {
			t->usage++;
			t->oom_reaper_list = m->oom_reaper_list;
			m->oom_reaper_list = t;
			k->at = KILL_MMDROP;
		}
		break;
	case KILL_MMDROP:
		if (step("killer.oom_kill_process.mmdrop", k->name, t->name, NULL)) {
			t->process->mm->mm_count--;
			k->victim = NULL;
			k->at = OOM_UNLOCK;
			put_task_struct(t);
		}
		break;
	default:
		break;
	}
}

static void alloc_pages_may_oom(struct machine *m)
{
	struct killer *k = &m->killer;

	switch (k->at) {
	case IDLE:
		if (step("killer.__alloc_pages_may_oom.__alloc_pages_slowpath[fails]", k->name, NULL, NULL))
			k->at = OOM_LOCK;
		break;
	case OOM_LOCK:
		if (!m->oom_lock && step("killer.__alloc_pages_may_oom.mutex_trylock(oom_lock)", k->name, NULL, NULL)) {
			m->oom_lock = true;
			k->at = LAST_ATTEMPT;
		} else if (m->oom_lock &&
			   step("killer.__alloc_pages_may_oom.mutex_trylock(oom_lock)[fails]", k->name, NULL, NULL)) {
			k->at = IDLE;
		}
		break;
	case LAST_ATTEMPT:
		if (step("killer.__alloc_pages_may_oom.get_page_from_freelist[succeeds]", k->name, NULL, NULL))
			k->at = OOM_UNLOCK;
		else if (step("killer.__alloc_pages_may_oom.get_page_from_freelist[fails]", k->name, NULL, NULL))
			k->at = WILL_FREE;
		break;
	case WILL_FREE: /* the allocating task is not part of the world */
		if (step("killer.out_of_memory.task_will_free_mem(current)[no]", k->name, NULL, NULL)) {
			k->next = 0;
			k->at = SELECT;
		}
		break;
	case SELECT:
		select_bad_process(m);
		break;
	case OOM_UNLOCK:
		if (step("killer.__alloc_pages_may_oom.mutex_unlock(oom_lock)", k->name, NULL, NULL)) {
			m->oom_lock = false;
			choose(k, NULL);
			k->at = IDLE;
		}
		break;
	default:
		oom_kill_process(m);
	}
}

static void every_actor(struct machine *m)
{
	alloc_pages_may_oom(m);
	oom_reaper(m);
	for (int i = 0; i < m->task_number; i++)
		do_exit(&m->tasks[i]);
	for (int i = 0; i < m->mm_number; i++)
		__mmput(&m->mms[i]);
}

#endif
