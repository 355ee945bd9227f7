/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * One line of text a message on standard error:
 *
 *   2026-01-02T03:04:05.678Z info  kube: watching services resourceVersion=17
 *
 * Messages begin with the part of the program that speaks ("kube:", "tables:")
 * and end with key=value pairs. Lower layers return errors instead of logging
 * them; who handles an error logs it once, naming the object and the field.
 * Control characters, which come from outside with names, are written as "?";
 * only debug messages, such as the verifier's, may have several lines.
 */

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Messages above `level` are not written. The default is info. */
void log_set_level(enum log_level level);

/* Sets the level named `name` ("error" ... "debug"); -EINVAL for another. */
int log_set_level_name(const char *name);

void log_message(enum log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#define log_error(...) log_message(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_message(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_message(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_message(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* Makes text that holds names from outside one line: control characters become "?". */
void log_printable(char *text);

/* Sends what libbpf prints into the log: its warnings as debug, since every
 * failure it warns of is returned as an error too and logged by the caller. */
void log_take_libbpf(void);
