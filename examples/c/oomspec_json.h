// SPDX-License-Identifier: GPL-2.0-only
/*
 * JSON, just enough to read the requests of docs/programs.md. Nothing is copied or allocated: a value is the
 * place in the text where it begins. NULL stands for what is missing or malformed.
 */
#ifndef OOMSPEC_JSON_H
#define OOMSPEC_JSON_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY = 32, DEEPEST = 32 };

static const char *skip_space(const char *p)
{
	return p + strspn(p, " \t\r\n");
}

/* Decodes the string at p; gives the place behind it. Our names are ASCII: anything else is refused. */
static const char *read_text(const char *p, char *text, size_t size)
{
	size_t length = 0;

	for (p++; *p != '"'; p++) {
		unsigned int code = (unsigned char)*p;

		if (*p == '\\' && p[1] == 'u') {
			if (strspn(p + 2, "0123456789abcdefABCDEF") < 4 || sscanf(p + 2, "%4x", &code) != 1)
				return NULL;
			p += 5;
		} else if (*p == '\\' && p[1] && strchr("\"\\/", p[1])) {
			code = (unsigned char)*++p;
		}
		if (code < ' ' || code > '~' || length + 1 >= size)
			return NULL;
		text[length++] = (char)code;
	}
	text[length] = '\0';
	return p + 1;
}

static const char *skip_value(const char *p, int depth)
{
	size_t length;

	if (*p == '"') {
		for (p++; *p && *p != '"'; p++)
			if (*p == '\\' && !*++p)
				return NULL;
		return *p ? p + 1 : NULL;
	}
	if (*p == '{' || *p == '[') { /* the reader of what is inside checks commas and colons */
		for (p = skip_space(p + 1); p && *p != '}' && *p != ']'; p = p ? skip_space(p) : NULL) {
			if (!*p || depth == DEEPEST)
				return NULL;
			p = *p == ',' || *p == ':' ? p + 1 : skip_value(p, depth + 1);
		}
		return p ? p + 1 : NULL;
	}
	length = strcspn(p, ",:{}[]\" \t\r\n");
	return length ? p + length : NULL;
}

/* From one member of an object, or from its brace, to the next: its key and its value. NULL behind the last. */
static const char *next_member(const char *p, char key[KEY], const char **value)
{
	if (!p || (p = skip_space(p), *p != '{' && *p != ','))
		return NULL;
	p = skip_space(p + 1);
	if (*p != '"' || !(p = read_text(p, key, KEY)) || *(p = skip_space(p)) != ':')
		return NULL;
	*value = skip_space(p + 1);
	return skip_value(*value, 0);
}

static const char *member(const char *object, const char *wanted_key)
{
	char key[KEY];
	const char *value;

	while ((object = next_member(object, key, &value)))
		if (strcmp(key, wanted_key) == 0)
			return value;
	return NULL;
}

static bool text_member(const char *object, const char *key, char *text, size_t size)
{
	const char *value = member(object, key);

	return value && *value == '"' && read_text(value, text, size);
}

static bool is_true(const char *object, const char *key)
{
	const char *value = member(object, key);

	return value && strncmp(value, "true", 4) == 0;
}

static long number(const char *object, const char *key)
{
	const char *value = member(object, key);

	return value ? strtol(value, NULL, 10) : 0;
}

/* From one object of a list, or from its bracket, to the next. NULL behind the last. */
static const char *next_object(const char *p, const char **object)
{
	if (!p || (p = skip_space(p), *p != '[' && *p != ','))
		return NULL;
	*object = skip_space(p + 1);
	return **object == '{' ? skip_value(*object, 0) : NULL;
}

/* Writes a text as JSON. */
static void write_text(const char *text)
{
	putchar('"');
	for (; *text; text++)
		if (*text == '"' || *text == '\\' || *text < ' ' || *text > '~')
			printf("\\u%04x", (unsigned int)(unsigned char)*text);
		else
			putchar(*text);
	putchar('"');
}

#endif
