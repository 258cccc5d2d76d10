// SPDX-License-Identifier: GPL-2.0-only
/*
 * A worked example of an implementation in another language. It speaks version 1 of the protocol of
 * docs/programs.md over its standard input and output, and needs nothing but C11.
 *
 *   cc -std=c11 -Wall -Wextra -Werror -o oomspec_example oomspec_example.c
 *
 * This file is the protocol: hello, reset, run. oomspec_kernel.h is what is under test, oomspec_json.h reads
 * requests. Faults to be found: -DPLANTED_BUG=1 has the reaper set MMF_OOM_SKIP before it walks; with 2 it
 * walks without mmget_not_zero; with 3 exit_mm clears TIF_MEMDIE without waiting for its __mmput; with 4
 * oom_reap_task uses the victim after it has put its reference, which only the program's own check sees.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "oomspec_json.h"
#include "oomspec_kernel.h"

enum { WORLD = 1, LINE = 1 << 20 }; /* the schema of worlds that it reads; the longest request */

/* ---- a world: what it describes is built, or refused; nothing is passed over ---- */

static const char *refusal; /* why a request is refused */

static void *refuse(const char *why)
{
	refusal = why;
	return NULL;
}

static struct mm *find_mm(struct machine *m, const char *name)
{
	for (int i = 0; i < m->mm_number; i++)
		if (strcmp(m->mms[i].name, name) == 0)
			return &m->mms[i];
	return refuse("an mm does not stand before who uses it");
}

static struct process *find_process(struct machine *m, const char *name)
{
	for (int i = 0; i < m->process_number; i++)
		if (strcmp(m->processes[i].name, name) == 0)
			return &m->processes[i];
	return refuse("a process does not stand before its thread");
}

/* Whether an object has no other members than "kind", "name" and those of a list of words, each with a space around. */
static bool only(const char *object, const char *known)
{
	const char *value, *p = object;
	char key[KEY], word[KEY + 2];

	while ((p = next_member(p, key, &value))) {
		snprintf(word, sizeof word, " %s ", key);
		if (strcmp(key, "kind") != 0 && strcmp(key, "name") != 0 && !strstr(known, word))
			return refuse("this program does not model something that the world has") != NULL;
	}
	return true;
}

static void add_mm(struct machine *m, const char *object, const char *name)
{
	struct mm *mm = &m->mms[m->mm_number++];

	if (!only(object, " reapable "))
		return;
	strcpy(mm->name, name);
	mm->pages = number(object, "reapable");
	mm->mm_count = 1; /* for all of mm_users */
}

static void add_process(struct machine *m, const char *object, const char *name)
{
	struct process *process = &m->processes[m->process_number++];
	char mm[NAME] = "";

	if (!only(object, " mm never_exits bystander ") || !text_member(object, "mm", mm, sizeof mm))
		return;
	strcpy(process->name, name);
	process->never_exits = is_true(object, "never_exits");
	process->mm = find_mm(m, mm);
}

static void add_task(struct machine *m, const char *object, const char *name)
{
	struct task *t = &m->tasks[m->task_number++];
	char process[NAME] = "";

	if (!only(object, " process leader has_mm ") || !text_member(object, "process", process, sizeof process))
		return;
	strcpy(t->name, name);
	if (!(t->process = find_process(m, process)) || !t->process->mm)
		return;
	t->mm = t->process->mm;
	t->hashed = t->in_cgroup = true;
	t->usage = 1;
	if (t->mm->mm_users++)
		refuse("two threads share an mm");
	if (!is_true(object, "leader") || !is_true(object, "has_mm"))
		refuse("a thread is no leader or has no mm");
}

static void add(struct machine *m, const char *object)
{
	char kind[NAME] = "", name[NAME] = "";
	const char *value, *p;
	char key[KEY];

	if (!text_member(object, "kind", kind, sizeof kind) || !text_member(object, "name", name, sizeof name)) {
		refuse("an object has no kind or no name");
	} else if (strpbrk(name, "\"\\") || m->mm_number == MOST || m->process_number == MOST || m->task_number == MOST) {
		refuse("the world is too large, or a name in it too odd");
	} else if (strcmp(kind, "Mm") == 0) {
		add_mm(m, object, name);
	} else if (strcmp(kind, "Process") == 0) {
		add_process(m, object, name);
	} else if (strcmp(kind, "Task") == 0) {
		add_task(m, object, name);
	} else if (strcmp(kind, "Reaper") == 0 && !*m->reaper.name && only(object, "")) {
		strcpy(m->reaper.name, name);
	} else if (strcmp(kind, "Killer") == 0 && !*m->killer.name && only(object, " eligible ")) {
		strcpy(m->killer.name, name);
		for (p = member(object, "eligible"); (p = next_member(p, key, &value));)
			if (strncmp(value, "true", 4) != 0)
				refuse("a process is not eligible");
	} else {
		refuse("this program does not model an object that the world has");
	}
}

static void reset(struct machine *m, const char *request)
{
	const char *world = member(request, "world"), *object, *p;
	char era[NAME] = "";

	memset(m, 0, sizeof *m);
	report_number = 0;
	if (!text_member(request, "era", era, sizeof era) || strcmp(era, "E4") != 0)
		refuse("this program implements era E4 only");
	else if (!world || number(world, "schema") != WORLD)
		refuse("this program reads worlds of schema 1 only");
	else
		for (p = member(world, "objects"); !refusal && (p = next_object(p, &object));)
			add(m, object);
	if (!refusal && (!*m->reaper.name || !*m->killer.name || !m->task_number))
		refuse("the world has no reaper, no killer or no thread");
}

/* ---- what is seen: the same code writes down the names and the values ---- */

static bool naming;

static void see(const char *owner, const char *what, const char *format, ...)
{
	va_list value;

	fputs(first ? "" : ",", stdout);
	first = false;
	if (naming) {
		printf("\"%s.%s\"", owner, what);
		return;
	}
	va_start(value, format);
	vprintf(format, value);
	va_end(value);
}

static void see_flag(const char *owner, const char *what, bool value)
{
	see(owner, what, "%s", value ? "true" : "false");
}

static int queue_depth(const struct machine *m, const struct task *t)
{
	const struct task *at = m->oom_reaper_list;
	int depth = 0;

	while (at && at != t)
		at = at->oom_reaper_list;
	for (; at; at = at->oom_reaper_list)
		depth++;
	return depth;
}

static void see_everything(struct machine *m)
{
	see_flag("world", "oom_lock", m->oom_lock);
	for (struct mm *mm = m->mms; mm < m->mms + m->mm_number; mm++) {
		see(mm->name, "mm_users", "%d", mm->mm_users);
		see_flag(mm->name, "allocated", mm->mm_count > 0);
		see(mm->name, "readers", "%d", mm->readers);
		see_flag(mm->name, "oom_skip", mm->oom_skip);
		see_flag(mm->name, "unstable", mm->unstable);
		see(mm->name, "reapable", "%ld", mm->pages);
		see_flag(mm->name, "gathered", mm->gathered);
		see(mm->name, "page_tables", "\"%s\"", presence_names[mm->page_tables]);
		see(mm->name, "vmas", "\"%s\"", presence_names[mm->vmas]);
	}
	for (struct process *process = m->processes; process < m->processes + m->process_number; process++) {
		see_flag(process->name, "sigkill", process->sigkill);
		see_flag(process->name, "oom_mm", process->oom_mm != NULL);
	}
	for (struct task *t = m->tasks; t < m->tasks + m->task_number; t++) {
		see_flag(t->name, "has_mm", t->mm != NULL);
		see_flag(t->name, "exiting", t->exiting);
		see_flag(t->name, "memdie", t->memdie);
		see_flag(t->name, "hashed", t->hashed);
		see_flag(t->name, "in_cgroup", t->in_cgroup);
		see(t->name, "queue_depth", "%d", queue_depth(m, t));
		see_flag(t->name, "linked", t->oom_reaper_list != NULL);
		see_flag(t->name, "locked", t->locked);
		see_flag(t->name, "allocated", t->usage > 0);
	}
	see(m->reaper.name, "job", "\"%s\"", m->reaper.job ? m->reaper.job->name : "");
	see(m->killer.name, "victim", "\"%s\"", m->killer.victim ? m->killer.victim->name : "");
}

static void tell_reports(struct machine *m)
{
	(void)m;
	for (int i = 0; i < report_number; i++)
		printf("%s\"%s\"", i ? "," : "", reports[i]);
}

/* ---- requests and replies ---- */

static const char hello[] =
	"\"protocol\":1,\"name\":\"C example\",\"eras\":[\"E4\"],\"scenarios\":[\"single\",\"stuck\"],\"observes\":["
	"\"World.oom_lock\",\"Mm.mm_users\",\"Mm.allocated\",\"Mm.readers\",\"Mm.oom_skip\",\"Mm.unstable\","
	"\"Mm.reapable\",\"Mm.gathered\",\"Mm.page_tables\",\"Mm.vmas\",\"Process.sigkill\",\"Process.oom_mm\","
	"\"Task.has_mm\",\"Task.exiting\",\"Task.memdie\",\"Task.hashed\",\"Task.in_cgroup\",\"Task.queue_depth\","
	"\"Task.linked\",\"Task.locked\",\"Task.allocated\",\"Reaper.job\",\"Killer.victim\"],\"reports\":true";

static void list(struct machine *m, const char *key, void (*write)(struct machine *))
{
	printf(",\"%s\":[", key);
	first = true;
	write(m);
	putchar(']');
}

static void answer(struct machine *m, const char *request)
{
	char call[NAME] = "", action[TEXT + 4 * NAME] = "";

	refusal = NULL;
	if (!text_member(request, "call", call, sizeof call)) {
		refuse("the request has no call");
	} else if (strcmp(call, "reset") == 0) {
		reset(m, request);
	} else if (strcmp(call, "run") == 0) {
		wanted = text_member(request, "action", action, sizeof action) ? action : "";
		taken = false;
		every_actor(m);
		wanted = NULL;
		if (!taken)
			refuse("this action cannot run now");
	} else if (strcmp(call, "hello") != 0) {
		refuse("the call is unknown");
	}
	printf("{\"id\":%ld,", number(request, "id"));
	if (refusal) {
		fputs("\"error\":", stdout);
		write_text(refusal);
	} else if (strcmp(call, "hello") == 0) {
		fputs(hello, stdout);
	} else {
		printf("\"call\":\"%s\"", call);
		if (strcmp(call, "reset") == 0) {
			naming = true;
			list(m, "names", see_everything);
			naming = false;
		}
		list(m, "runnable", every_actor);
		list(m, "observe", see_everything);
		list(m, "reports", tell_reports);
	}
	puts("}");
	fflush(stdout); /* or the suite waits for ever */
}

int main(void)
{
	static char line[LINE];
	static struct machine machine;

	while (fgets(line, sizeof line, stdin))
		answer(&machine, line);
	return 0;
}
