/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

#include "common/log.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/mem.h"

static enum log_level log_level_max = LOG_LEVEL_INFO;

static const char *const level_names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

void log_set_level(enum log_level level)
{
	log_level_max = level;
}

int log_set_level_name(const char *name)
{
	for (size_t i = 0; i < SL_COUNT(level_names); i++) {
		if (strcmp(name, level_names[i]) == 0) {
			log_level_max = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

void log_printable(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

static void log_vmessage(enum log_level level, const char *format, va_list args)
{
	char text[2048];
	char when[32];
	struct timespec now;
	struct tm utc;

	if (level > log_level_max)
		return;

	int len = vsnprintf(text, sizeof(text), format, args);
	if (len >= (int)sizeof(text))
		len = sizeof(text) - 1;
	while (len > 0 && text[len - 1] == '\n')
		text[--len] = '\0';
	if (level != LOG_LEVEL_DEBUG)
		log_printable(text);

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &utc);
	fprintf(stderr, "%s.%03ldZ %-5s %s\n", when, now.tv_nsec / 1000000, level_names[level],
		text);
}

void log_message(enum log_level level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_vmessage(level, format, args);
	va_end(args);
}

static int libbpf_line(enum libbpf_print_level level, const char *format, va_list args)
{
	if (level != LIBBPF_DEBUG)
		log_vmessage(LOG_LEVEL_DEBUG, format, args);
	return 0;
}

void log_take_libbpf(void)
{
	libbpf_set_print(libbpf_line);
}
