// SPDX-License-Identifier: GPL-2.0-only
/*
 * Plays a file of test vectors (JSON, `oomspec vectors`) against a program that speaks version 1 of the protocol
 * of docs/programs.md. A consumer of the vectors that has no part of oomspec: it needs C11 and POSIX.
 *
 *   cc -std=c11 -Wall -Wextra -Werror -o play_vectors play_vectors.c
 *   ./play_vectors vectors/json/E4/single.json ./oomspec_example
 *
 * Exit status: 0 the program conforms, 1 it differs, 2 the file or the program cannot be used.
 * A program that hangs is waited for: put `timeout` before the command.
 */
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum { DEEPEST = 32, MOST_NAMES = 1024, TEXT = 512 };

static FILE *to_program, *from_program;
static char *line; /* the last reply */
static size_t line_size;
static long requests;

static _Noreturn void give_up(const char *what, const char *about)
{
	fprintf(stderr, "play_vectors: %s%s%s\n", what, *about ? ": " : "", about);
	exit(2);
}

/* ---- JSON: a value is the place in the text where it begins; NULL is what is missing or malformed ---- */

static const char *space(const char *p)
{
	return p + strspn(p, " \t\r\n");
}

static const char *behind(const char *p, int depth)
{
	size_t length;

	if (*p == '"') {
		for (p++; *p && *p != '"'; p++)
			if (*p == '\\' && !*++p)
				return NULL;
		return *p ? p + 1 : NULL;
	}
	if (*p == '{' || *p == '[') {
		for (p = space(p + 1); p && *p != '}' && *p != ']'; p = p ? space(p) : NULL) {
			if (!*p || depth == DEEPEST)
				return NULL;
			p = *p == ',' || *p == ':' ? p + 1 : behind(p, depth + 1);
		}
		return p ? p + 1 : NULL;
	}
	length = strcspn(p, ",:{}[]\" \t\r\n");
	return length ? p + length : NULL;
}

static bool text_of(const char *p, char text[TEXT])
{
	size_t length = 0;

	if (!p || *p++ != '"')
		return false;
	for (; *p != '"'; p++) {
		unsigned int code = (unsigned char)*p;

		if (*p == '\\' && p[1] == 'u') {
			if (strspn(p + 2, "0123456789abcdefABCDEF") < 4 || sscanf(p + 2, "%4x", &code) != 1)
				return false;
			p += 5;
		} else if (*p == '\\' && p[1] && strchr("\"\\/", p[1])) {
			code = (unsigned char)*++p;
		}
		if (code < ' ' || code > '~' || length + 1 >= TEXT)
			return false;
		text[length++] = (char)code;
	}
	text[length] = '\0';
	return true;
}

/* From a list or an object, or one of its elements, to the next element. NULL behind the last. */
static const char *next(const char *container, const char *element)
{
	const char *p = element ? behind(element, 0) : container;

	if (!p || (p = space(p), *p != (element ? ',' : *container)))
		return NULL;
	p = space(p + 1);
	return *p && *p != ']' && *p != '}' && behind(p, 0) ? p : NULL;
}

/* The value of a member whose key is at p. */
static const char *value_at(const char *p)
{
	p = space(behind(p, 0));
	return *p == ':' && behind(space(p + 1), 0) ? space(p + 1) : NULL;
}

/* From the key of a member to the key of the next; of the first where key is NULL. */
static const char *next_key(const char *object, const char *key)
{
	const char *value = key ? value_at(key) : NULL;

	if (key && !value)
		return NULL;
	return next(object, value);
}

static const char *member(const char *object, const char *wanted)
{
	char key[TEXT];

	if (!object || *object != '{')
		return NULL;
	for (const char *at = NULL; (at = next_key(object, at));)
		if (text_of(at, key) && strcmp(key, wanted) == 0)
			return value_at(at);
	return NULL;
}

static const char *need(const char *object, const char *key, char kind)
{
	const char *value = member(object, key);

	if (!value || (kind && *value != kind))
		give_up("missing, or of another type", key);
	return value;
}

static bool same(const char *one, const char *other)
{
	char a[TEXT], b[TEXT];
	const char *end = behind(one, 0), *ends = behind(other, 0);

	if (*one == '"' || *other == '"')
		return text_of(one, a) && text_of(other, b) && strcmp(a, b) == 0;
	return end - one == ends - other && memcmp(one, other, (size_t)(end - one)) == 0;
}

static bool has(const char *list, const char *wanted)
{
	for (const char *at = NULL; (at = next(list, at));)
		if (same(at, wanted))
			return true;
	return false;
}

static void show(const char *value)
{
	printf("%.*s", (int)(behind(value, 0) - value), value);
}

/* ---- the program ---- */

static void start(char **command)
{
	int requests_pipe[2], replies_pipe[2];
	pid_t child;

	if (pipe(requests_pipe) || pipe(replies_pipe) || (child = fork()) < 0)
		give_up("cannot start", command[0]);
	if (child == 0) {
		dup2(requests_pipe[0], STDIN_FILENO);
		dup2(replies_pipe[1], STDOUT_FILENO);
		close(requests_pipe[0]);
		close(requests_pipe[1]);
		close(replies_pipe[0]);
		close(replies_pipe[1]);
		execvp(command[0], command);
		_exit(127);
	}
	close(requests_pipe[0]);
	close(replies_pipe[1]);
	to_program = fdopen(requests_pipe[1], "w");
	from_program = fdopen(replies_pipe[0], "r");
	if (!to_program || !from_program)
		give_up("cannot start", command[0]);
	signal(SIGPIPE, SIG_IGN);
}

/* Sends a request, whose members after the call are two keys with JSON values; gives the reply. */
static const char *ask(const char *call, const char *key, const char *value, const char *key2, const char *value2)
{
	const char *id;

	fprintf(to_program, "{\"id\":%ld,\"call\":\"%s\",\"%s\":", ++requests, call, key);
	fwrite(value, 1, (size_t)(behind(value, 0) - value), to_program);
	if (key2) {
		fprintf(to_program, ",\"%s\":", key2);
		fwrite(value2, 1, (size_t)(behind(value2, 0) - value2), to_program);
	}
	fputs("}\n", to_program);
	fflush(to_program);
	if (getline(&line, &line_size, from_program) < 0)
		give_up("the program has ended", call);
	if (*line != '{' || !behind(line, 0))
		give_up("the reply is no JSON object", line);
	id = member(line, "id");
	if (!id || strtol(id, NULL, 10) != requests)
		give_up("the reply is to another request", line);
	if (member(line, "error"))
		give_up("the program reports an error", line);
	return line;
}

/* ---- playing ---- */

static const char *expected[MOST_NAMES]; /* values, in the order of `names` of the file */
static int place[MOST_NAMES];		 /* for each value of a reply its place there */
static int known, reported;
static const char *file_names, *vector;
static long taken;

static int place_of(const char *name)
{
	int number = 0;

	for (const char *at = NULL; (at = next(file_names, at)); number++)
		if (same(at, name))
			return number;
	return -1;
}

static const char *name_at(int number)
{
	const char *at = next(file_names, NULL);

	while (number--)
		at = next(file_names, at);
	return at;
}

static bool differs(const char *what, const char *about)
{
	printf("vector ");
	show(need(vector, "id", '"'));
	printf(", after %ld steps: %s ", taken, what);
	show(about);
	return false;
}

/* Whether a reply is what must be seen; `refused` where this is the end of a forbidden vector. */
static bool fits(const char *reply, const char *runnable, bool ended, const char *refused)
{
	const char *observe = need(reply, "observe", '['), *offers = need(reply, "runnable", '['), *at = NULL;
	int number = 0;

	if (refused && !member(refused, "shows") && has(offers, need(refused, "action", '"'))) {
		differs("it offers what is forbidden,", need(refused, "action", '"'));
		printf(": ");
		show(need(refused, "why", '"'));
		for (const char *race = NULL; (race = next(need(refused, "races", '['), race));) {
			printf("; breaks ");
			show(need(race, "property", '"'));
		}
		printf("\n");
		return false;
	}
	for (; (at = next(observe, at)) && number < reported; number++)
		if (!same(at, expected[place[number]])) {
			differs("it shows another value of", name_at(place[number]));
			printf(": ");
			show(expected[place[number]]);
			printf(" expected, ");
			show(at);
			printf(" seen\n");
			return false;
		}
	if (at || number != reported)
		give_up("the reply has not as many values as names", reply);
	if (ended)
		return true;
	for (at = NULL; (at = next(offers, at));)
		if (!has(runnable, at))
			return differs("it offers what is not allowed,", at), printf("\n"), false;
	for (at = NULL; (at = next(runnable, at));)
		if (!has(offers, at))
			return differs("it does not offer", at), printf("\n"), false;
	return true;
}

static void take_names(const char *names, bool all)
{
	reported = 0;
	for (const char *at = NULL; (at = next(names, at)); reported++)
		if (reported == MOST_NAMES || (place[reported] = place_of(at)) < 0)
			give_up("the program reports a name that the file does not have", at);
	if (all && reported != known)
		give_up("the program does not report every name, though it does not say what it observes", "");
}

static bool play(const char *file, bool all)
{
	const char *steps = need(vector, "steps", '['), *refused = member(vector, "refused"), *at = NULL, *reply;
	const char *step = next(steps, NULL), *key;

	known = 0;
	taken = 0;
	while ((at = next(need(file, "seen", '['), at)))
		if (known == MOST_NAMES)
			give_up("the file has too many names", "");
		else
			expected[known++] = at;
	reply = ask("reset", "era", need(file, "era", '"'), "world", need(file, "world", '{'));
	take_names(need(reply, "names", '['), all);
	if (!fits(reply, need(file, "runnable", '['), false, step ? NULL : refused))
		return false;
	while (step) {
		const char *following = next(steps, step), *changes = need(step, "changes", '{');

		for (key = NULL; (key = next_key(changes, key));) {
			int number = place_of(key);

			if (number < 0)
				give_up("a step changes a name that the file does not have", "");
			expected[number] = value_at(key);
		}
		reply = ask("run", "action", need(step, "action", '"'), NULL, NULL);
		taken++;
		if (!fits(reply, need(step, "runnable", '['), member(step, "ended") != NULL, following ? NULL : refused))
			return false;
		step = following;
	}
	return true;
}

static char *contents(const char *name)
{
	FILE *file = fopen(name, "rb");
	char *text;
	long size;

	if (!file || fseek(file, 0, SEEK_END) || (size = ftell(file)) < 0 || fseek(file, 0, SEEK_SET))
		give_up("cannot be read", name);
	text = calloc((size_t)size + 1, 1);
	if (!text || fread(text, 1, (size_t)size, file) != (size_t)size)
		give_up("cannot be read", name);
	fclose(file);
	return text;
}

int main(int count, char **words)
{
	const char *file, *vectors, *reply, *eras;
	long played = 0, steps = 0;
	char format[TEXT];
	bool all;

	if (count < 3)
		give_up("usage: play_vectors FILE COMMAND [ARGUMENT]...", "");
	file = space(contents(words[1]));
	if (*file != '{' || !behind(file, 0) || !text_of(member(file, "format"), format) ||
	    strcmp(format, "oomspec-vectors") != 0 || strtol(need(file, "schema", 0), NULL, 10) != 1)
		give_up("is no whole file of vectors of schema 1", words[1]);
	file_names = need(file, "names", '[');
	vectors = need(file, "vectors", '[');
	start(words + 2);
	reply = ask("hello", "protocol", "1", NULL, NULL);
	eras = member(reply, "eras");
	if (eras && *eras == '[' && !has(eras, need(file, "era", '"')))
		give_up("the program does not know the era of the file", "");
	all = !member(reply, "observes") || *member(reply, "observes") != '[';
	for (vector = NULL; (vector = next(vectors, vector)); played++) {
		if (!play(file, all))
			return 1;
		steps += taken;
	}
	printf("%ld vectors, %ld steps: no difference\n", played, steps);
	return 0;
}
